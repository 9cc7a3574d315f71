//! The fields of an optimizer's config.

/// The config of an optimizer: its hyperparameters, each with its default, and those of the weight decay, which all have: 0 unless another is given.
macro_rules! fields {
    (@weight_decay) => { 0.0 };
    (@weight_decay $default:expr) => { $default };
    (
        $(#[$doc:meta])*
        $optimizer:ident { $($(#[$about:meta])* $name:ident: $type:ty = $default:expr,)* }
        $(weight_decay = $weight_decay:expr)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $optimizer {
            $($(#[$about])* pub $name: $type,)*
            /// Weight decay: an L2 penalty, added to the gradient times the weight; of AdamW decoupled from the gradient.
            pub weight_decay: f64,
            /// Parameters without weight decay.
            pub no_decay: Vec<String>,
            /// What the weight decay is multiplied by, by patterns of parameters; where several match, their product.
            #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
            pub decay_factors: std::collections::BTreeMap<String, f64>,
        }

        impl $optimizer {
            pub(crate) const FIELDS: &[&str] = &[$(stringify!($name),)* "weight_decay", "no_decay", "decay_factors"];
        }

        impl Default for $optimizer {
            fn default() -> Self {
                let weight_decay = fields!(@weight_decay $($weight_decay)?);
                let no_decay = $crate::update::biases_and_norms();
                Self { $($name: $default,)* weight_decay, no_decay, decay_factors: Default::default() }
            }
        }
    };
}
pub(crate) use fields;
