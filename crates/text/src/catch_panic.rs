//! Panics of libraries that are given files from elsewhere, as errors.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// How many calls of [`caught`] this thread is in.
    static QUIET: Cell<u32> = const { Cell::new(0) };
}

/// The result of `work`, or what it panicked with, of which nothing is printed. What `work` was changing is not to be
/// used afterwards.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            if QUIET.get() == 0 {
                usual(info);
            }
        }));
    });
    QUIET.set(QUIET.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(QUIET.get() - 1);
    result.map_err(|payload| message(&*payload).to_owned())
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("it panicked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        assert_eq!(caught(|| 3), Ok(3));
        let nothing: [u8; 0] = [];
        let error = caught(|| nothing[std::hint::black_box(1)]).unwrap_err();
        assert!(error.contains("index out of bounds"), "{error}");
        assert_eq!(caught(|| caught(|| panic!("inner")).unwrap_err()), Ok("inner".to_owned()));
    }
}
