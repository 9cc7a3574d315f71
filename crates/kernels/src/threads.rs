use micropool::iter::{ExactParallelSourceExt, IntoExactParallelSource, ParallelIteratorExt};
use micropool::{ThreadPool, ThreadPoolBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{LazyLock, Mutex, PoisonError};

/// How long an idle thread spins before it sleeps, in spin-loop hints: longer than what lies between two GEMMs of a step. To wake
/// a sleeping thread costs as much as a small GEMM.
const SPINS: usize = 20_000;

/// One thread for each core but the caller's.
static POOL: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPoolBuilder::default().idle_spin_cycles(SPINS).build());

/// Runs tasks in parallel, on this thread too, and returns once all have ended: a fork and join of a few microseconds.
///
/// # Panics
/// With the panic of a task, once all have ended.
pub fn run_on_threads<F: FnOnce() + Send>(tasks: impl IntoIterator<Item = F>) {
    let (tasks, panicked) = (tasks.into_iter().collect::<Vec<F>>(), Mutex::new(None));
    // A panic that reaches the pool would abort the process.
    tasks.into_par_iter().with_thread_pool(POOL.split_per_item()).for_each(|task| {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(task)) {
            *panicked.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
        }
    });
    if let Some(payload) = panicked.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(payload);
    }
}

/// Runs a pass over the rows of `y[N, columns]`, each thread with some of them: `pass` gets the number of the first one and the rows.
pub fn run_on_rows<E: Send>(y: &mut [E], columns: usize, threads: usize, pass: impl Fn(usize, &mut [E]) + Sync) {
    let rows = (y.len() / columns.max(1)).div_ceil(threads.max(1));
    if threads <= 1 || rows == 0 {
        return pass(0, y);
    }
    let pass = &pass;
    run_on_threads(y.chunks_mut(rows * columns).enumerate().map(|(i, y)| move || pass(i * rows, y)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn each_row_is_passed_over_once() {
        for (n, columns, threads) in [(0, 3, 2), (1, 3, 2), (7, 3, 1), (7, 3, 2), (7, 3, 9), (5, 0, 2)] {
            let mut y: Vec<usize> = vec![0; n * columns];
            run_on_rows(&mut y, columns, threads, |first, rows| {
                rows.iter_mut().enumerate().for_each(|(i, y)| *y += first * columns + i + 1);
            });
            assert!(y.into_iter().eq(1..=n * columns), "{n} {columns} {threads}");
        }
    }

    #[test]
    fn a_panic_of_a_task_is_the_callers_after_all_have_ended() {
        let ended = AtomicUsize::new(0);
        let task = |i: usize| {
            let ended = &ended;
            move || match i {
                3 => panic!("the third"),
                _ => _ = ended.fetch_add(1, Ordering::Relaxed),
            }
        };
        let payload = catch_unwind(AssertUnwindSafe(|| run_on_threads((0..8).map(task)))).unwrap_err();
        assert_eq!((payload.downcast_ref(), ended.into_inner()), (Some(&"the third"), 7));
    }
}
