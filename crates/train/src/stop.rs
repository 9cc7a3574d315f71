//! What is asked to stop.

use crate::Error;
use std::sync::atomic::{AtomicBool, Ordering};

/// For what nothing stops.
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

/// # Errors
/// [`Error::Stopped`] once `stop` is set.
pub(crate) fn go_on(stop: &AtomicBool) -> Result<(), Error> {
    if stop.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) }
}
