use crate::candidates::Candidate;

/// Dynamic beam allocation (Post and Vilar 2018, arXiv 1804.06609): of candidates in order, those with EOS, and of the others as many
/// as the beam is wide. Each bank, which is those of one progress, has an equal part of the beam; what it does not fill goes to the
/// banks with more progress, and then to the others.
pub(crate) fn allocate(
    candidates: &[Candidate],
    width: usize,
    is_eos: impl Fn(&Candidate) -> bool,
    mut progress: impl FnMut(&Candidate) -> usize,
) -> Vec<Candidate> {
    let others: Vec<(usize, usize)> =
        (0..).zip(candidates).filter(|(_, one)| !is_eos(one)).map(|(rank, one)| (progress(one), rank)).collect();
    let mut banks: Vec<usize> = others.iter().map(|(bank, _)| *bank).collect();
    banks.sort_unstable_by(|a, b| b.cmp(a));
    banks.dedup();
    let share = width / banks.len().max(1);
    let mut kept = vec![false; candidates.len()];
    let mut room = width;
    // First its part for each bank, the furthest first; then what is left, the furthest first again.
    for most in [share.max(1), width] {
        for bank in &banks {
            let own = others.iter().filter(|(of, _)| of == bank).map(|(_, rank)| *rank);
            for rank in own.filter(|&rank| !kept[rank]).take(most.min(room)).collect::<Vec<_>>() {
                kept[rank] = true;
                room -= 1;
            }
        }
    }
    let all = candidates.iter().enumerate();
    all.filter(|(rank, one)| kept[*rank] || is_eos(one)).map(|(_, one)| *one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banks_share_the_beam_and_what_is_left_goes_to_the_furthest() {
        // Tokens are named by their progress and place; 99 is EOS.
        let candidates: Vec<Candidate> = [0, 1, 2, 10, 99, 3, 20, 11, 12]
            .into_iter()
            .zip(1..)
            .map(|(token, rank)| Candidate { parent: 0, token, log_probability: -f64::from(rank) })
            .collect();
        let kept = |width: usize| -> Vec<u32> {
            let kept = allocate(&candidates, width, |one| one.token == 99, |one| one.token as usize / 10);
            kept.iter().map(|one| one.token).collect()
        };
        assert_eq!(kept(3), [0, 10, 99, 20]);
        assert_eq!(kept(6), [0, 1, 10, 99, 20, 11, 12]);
        // A beam that is narrower than the banks keeps the furthest.
        assert_eq!(kept(2), [10, 99, 20]);
        // With one bank, the most likely ones.
        let one: Vec<u32> =
            allocate(&candidates, 3, |one| one.token == 99, |_| 0).iter().map(|one| one.token).collect();
        assert_eq!(one, [0, 1, 2, 99]);
    }
}
