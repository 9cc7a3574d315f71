/// Runs tasks in parallel on the threads of the current rayon pool, the first of them on this one, and returns once all have ended.
pub fn run_on_threads<F: FnOnce() + Send>(tasks: impl IntoIterator<Item = F>) {
    rayon::in_place_scope(|scope| {
        let mut tasks = tasks.into_iter();
        let first = tasks.next();
        tasks.for_each(|task| scope.spawn(move |_| task()));
        first.into_iter().for_each(|task| task());
    });
}
