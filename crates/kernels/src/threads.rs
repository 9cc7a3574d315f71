use micropool::iter::{ExactParallelSourceExt, IntoExactParallelSource, ParallelIteratorExt};
use micropool::{ThreadPool, ThreadPoolBuilder};
use std::sync::LazyLock;

/// How long an idle thread spins before it sleeps, in spin-loop hints: longer than what lies between two GEMMs of a step. To wake
/// a sleeping thread costs as much as a small GEMM.
const SPINS: usize = 20_000;

/// One thread for each core but the caller's.
static POOL: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPoolBuilder::default().idle_spin_cycles(SPINS).build());

/// Runs tasks in parallel, on this thread too, and returns once all have ended: a fork and join of a few microseconds.
pub fn run_on_threads<F: FnOnce() + Send>(tasks: impl IntoIterator<Item = F>) {
    let tasks: Vec<F> = tasks.into_iter().collect();
    tasks.into_par_iter().with_thread_pool(POOL.split_per_item()).for_each(|task| task());
}
