//! Pairs whose two sides are swapped: by the characters of either side, each reads like the other.

use super::finding::{Finding, Severity, share_of};
use super::survey::{Pair, Survey};
use descant_text::{Form, hash};

/// Characters and pairs of them are counted in so many places by their hashes.
const PLACES: usize = 1 << 15;
const SMOOTHING: f64 = 0.3;
/// What each side of a swapped pair is less likely as itself than as the other, in nats: in all, and for each character.
const LEAST: f64 = 4.0;
const LEAST_EACH: f64 = 0.15;
/// Pairs that there have to be to learn from.
const LEAST_PAIRS: usize = 50;
/// The share of the pairs that show which side is which, at least: where the sides are alike, some are unlike theirs by chance.
const SHOWN: f64 = 0.25;
/// Characters of a text that are looked at.
const LONGEST: usize = 300;

/// The counts of either side.
struct Profile {
    counts: [Vec<u32>; 2],
    totals: [f64; 2],
}

/// Where the characters of a text, and its pairs of characters, are counted.
fn places(text: &str) -> Vec<usize> {
    let mut before = ' ';
    let of = |c: char| {
        let pair = (std::mem::replace(&mut before, c), c);
        [hash(&c) as usize % PLACES, hash(&pair) as usize % PLACES]
    };
    text.chars().take(LONGEST).flat_map(of).collect()
}

/// Both texts of a pair.
fn sides(pair: &Pair) -> [&str; 2] {
    [pair.source.as_deref().unwrap_or_default(), &pair.target]
}

impl Profile {
    /// The counts of pairs, of which some count the other way round.
    fn of(survey: &Survey, is_swapped: impl Fn(usize) -> bool) -> Self {
        let mut profile = Self { counts: [vec![0; PLACES], vec![0; PLACES]], totals: [0.0; 2] };
        for (i, pair) in survey.pairs.iter().enumerate() {
            for (side, text) in sides(pair).into_iter().enumerate() {
                let side = if is_swapped(i) { 1 - side } else { side };
                let places = places(text);
                profile.totals[side] += places.len() as f64;
                places.into_iter().for_each(|place| profile.counts[side][place] += 1);
            }
        }
        profile
    }

    /// How much likelier a text is as one of this side than as one of the other, in nats. `counted`: how often each place of it, and of the
    /// other text of its pair, is among the counts of the one side and the other.
    fn evidence(&self, side: usize, text: &[usize], counted: [&[usize]; 2]) -> f64 {
        let total = |of: usize| (self.totals[of] - counted[of].len() as f64 + SMOOTHING * PLACES as f64).ln();
        let constant = total(1 - side) - total(side);
        let log_count = |of: usize, place: usize| {
            let range = counted[of].partition_point(|&other| other < place)
                ..counted[of].partition_point(|&other| other <= place);
            (f64::from(self.counts[of][place]) - range.len() as f64 + SMOOTHING).ln()
        };
        text.iter().map(|&place| log_count(side, place) - log_count(1 - side, place) + constant).sum()
    }

    /// Whether each side reads like the other; none where they do not show it. `counted`: whether the pair is among the counts, and the
    /// other way round.
    fn reads_swapped(&self, pair: &Pair, counted: Option<bool>) -> Option<bool> {
        let mut both = sides(pair).map(places);
        both.iter_mut().for_each(|places| places.sort_unstable());
        let [source, target] = [&both[0][..], &both[1][..]];
        let counted = match counted {
            None => [&[][..], &[]],
            Some(false) => [source, target],
            Some(true) => [target, source],
        };
        let evidence: Vec<(f64, usize)> =
            (0..2).map(|side| (self.evidence(side, &both[side], counted), both[side].len())).collect();
        // Two places for each character.
        let shows = |sign: f64| {
            evidence.iter().all(|&(found, len)| sign * found > LEAST && sign * found > LEAST_EACH * len as f64 / 2.0)
        };
        [(-1.0, true), (1.0, false)].into_iter().find(|&(sign, _)| shows(sign)).map(|(_, swapped)| swapped)
    }

    fn is_swapped(&self, pair: &Pair, counted: Option<bool>) -> bool {
        self.reads_swapped(pair, counted) == Some(true)
    }
}

/// Rounds in which it is decided which pairs are swapped, and counted anew.
const ROUNDS: usize = 6;

/// What each side looks like, and which pairs of the training text are swapped.
pub(super) struct Swapped {
    profile: Profile,
    pairs: Vec<bool>,
}

/// Finds swapped pairs in the training text; none where it has too few pairs, or the sides are alike.
pub(super) fn swapped(train: &Survey) -> Option<Swapped> {
    if train.form != Form::Pairs || train.pairs.len() < LEAST_PAIRS {
        return None;
    }
    let mut pairs = vec![false; train.pairs.len()];
    for _ in 0..ROUNDS {
        let profile = Profile::of(train, |i| pairs[i]);
        let of = |(i, pair): (usize, &Pair)| profile.is_swapped(pair, Some(pairs[i]));
        let now: Vec<bool> = train.pairs.iter().enumerate().map(of).collect();
        // The most are taken to be right.
        let most = 2 * now.iter().filter(|&&swapped| swapped).count() > now.len();
        let now = if most { now.into_iter().map(|swapped| !swapped).collect() } else { now };
        if now == pairs {
            break;
        }
        pairs = now;
    }
    let profile = Profile::of(train, |i| pairs[i]);
    let shows = |&i: &usize| profile.reads_swapped(&train.pairs[i], Some(pairs[i])).is_some();
    let shown = (0..pairs.len()).filter(shows).count();
    (shown as f64 >= SHOWN * pairs.len() as f64).then_some(Swapped { profile, pairs })
}

impl Swapped {
    /// Whether a pair of the training text is swapped.
    pub(super) fn is(&self, at: usize) -> bool {
        self.pairs[at]
    }

    /// The findings of the training text, and of those that are validated and tested on.
    pub(super) fn findings(&self, train: &Survey, others: &[&Survey]) -> Vec<Finding> {
        let own: Vec<usize> = (0..self.pairs.len()).filter(|&i| self.pairs[i]).collect();
        let of_other = |survey: &&Survey| {
            let is_swapped = |&i: &usize| self.profile.is_swapped(&survey.pairs[i], None);
            finding(survey, (0..survey.pairs.len()).filter(is_swapped).collect())
        };
        finding(train, own).into_iter().chain(others.iter().filter_map(of_other)).collect()
    }
}

fn finding(survey: &Survey, found: Vec<usize>) -> Option<Finding> {
    let (count, all) = (found.len() as u64, survey.pairs.len() as u64);
    let (&first, &last) = (found.first()?, found.last()?);
    // Where they are close together, as a block.
    let block = last - first + 1;
    let place = if found.len() >= 5 && found.len() as f64 >= 0.8 * block as f64 {
        format!(", from {unit} {} to {unit} {}", survey.pairs[first].line, survey.pairs[last].line, unit = survey.unit)
    } else {
        String::new()
    };
    let severity = if count * 200 >= all { Severity::Warning } else { Severity::Note };
    let (name, share) = (survey.place(), share_of(count, all, "pair"));
    let message = match count * 2 > all {
        true => format!("{name}: source and target are the other way round than in training, in {share}{place}"),
        false => format!("{name}: source and target are swapped in {share}{place}, by their characters"),
    };
    let remedy = "Swap the two sides of these lines; of a whole file, data.columns = [1, 0] or the other order of the files \
                  does it";
    let shown = found.into_iter().map(|i| survey.shown_pair(i));
    Some(Finding::new("columns-swapped", severity, message, remedy).share(count, all).lines(survey.unit, shown))
}
