//! The slots of numbers with a unit that are the same in both languages.

/// Each draws from a table of units: with the language's `draw`, from its table of that name.
macro_rules! measures {
    () => {
        measures! {
            /// How far.
            distance: DISTANCES,
            /// How long or high.
            length: LENGTHS,
            /// How heavy.
            weight: WEIGHTS,
            /// How much of a liquid.
            volume: VOLUMES,
            /// How fast.
            speed: SPEEDS,
            /// How much data.
            storage: STORAGES,
            /// How long in time.
            duration: DURATIONS,
        }
    };
    ($($(#[$doc:meta])* $slot:ident: $units:ident),* $(,)?) => {
        $($(#[$doc])*
        pub fn $slot(dice: &mut Dice) -> Reading {
            draw(dice, $units)
        })*
    };
}
pub(crate) use measures;
