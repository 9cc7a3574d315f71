//! The signals by which a training is asked to stop: it saves first.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static SIGNAL: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// From now on, Ctrl-C, SIGTERM (`docker stop`, Slurm, systemd) and SIGHUP (a terminal that closes) set what is returned.
pub(crate) fn listen() -> io::Result<&'static AtomicBool> {
    // Ctrl-C a second time ends at once: the last checkpoint is complete. The others may come twice by themselves, when a
    // terminal closes.
    flag::register_conditional_shutdown(SIGINT, exit_code(SIGINT), ASKED.clone())?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if signal == SIGHUP && is_ignored(signal) {
            continue;
        }
        flag::register(signal, ASKED.clone())?;
        flag::register_usize(signal, SIGNAL.clone(), signal as usize)?;
    }
    Ok(&ASKED)
}

/// Ends as the shell expects of a program that a signal ended.
pub(crate) fn exit() -> ! {
    std::process::exit(exit_code(SIGNAL.load(Ordering::Relaxed) as c_int))
}

fn exit_code(signal: c_int) -> c_int {
    128 + signal
}

/// Whether this process was started to outlive its terminal, as by `nohup`. Known on Linux alone.
fn is_ignored(signal: c_int) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
