use crate::logits_processor::Processor;
use crate::{Context, DecodingOptions};
use std::sync::Arc;

/// The longest repeated sequence that is looked for: the penalty of a longer one is as good as infinite.
const LONGEST: usize = 50;

/// DRY (do not repeat yourself): lowers the scores of tokens that would continue a repeated sequence, the more the longer it
/// is.
pub(super) fn new(options: &DecodingOptions) -> Option<Processor> {
    let multiplier = options.config.dry_multiplier.filter(|&multiplier| multiplier > 0.0)?;
    let (base, allowed) = (options.config.dry_base.unwrap_or(1.75), options.config.dry_allowed_length.unwrap_or(2));
    let breakers = options.dry_breakers.clone();
    Some(Arc::new(move |context: &Context<'_>, scores: &mut [f64]| {
        let tokens = context.tokens;
        let ends = |token: &u32| breakers.contains(token);
        // Tokens that followed earlier sequences like the one that the text now ends with, the longest of each first.
        context.scratch.scored(|longest| {
            for end in 1..tokens.len() {
                let (next, earlier) = (tokens[end], tokens[..end].iter().rev());
                let both = earlier.zip(tokens.iter().rev()).take(LONGEST);
                let length = both.take_while(|(a, b)| a == b && !ends(a)).count();
                if length >= allowed && !ends(&next) {
                    longest.push((next as usize, (length - allowed) as f64));
                }
            }
            longest.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
            longest.dedup_by_key(|(token, _)| *token);
            for &(token, beyond) in longest.iter() {
                if let Some(score) = scores.get_mut(token) {
                    *score -= multiplier * base.powi(beyond as i32);
                }
            }
        });
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GenerationConfig;
    use crate::scratch::Scratch;

    #[test]
    fn the_longer_what_would_be_repeated_the_larger_the_penalty() {
        let (dry_multiplier, dry_base, dry_allowed_length) = (Some(0.5), Some(2.0), Some(2));
        let config = GenerationConfig { dry_multiplier, dry_base, dry_allowed_length, ..GenerationConfig::default() };
        let options = DecodingOptions { config, dry_breakers: vec![9], ..DecodingOptions::default() };
        let dry = new(&options).unwrap();
        let penalties = |tokens: &[u32]| {
            let mut scores = [0.0; 10];
            let scratch = &Scratch::default();
            let context = Context { source: None, tokens, prompt: 0, limit: 100, may_end: true, draw: 0.0, scratch };
            dry.process(&context, &mut scores);
            scores
        };
        // 1 2 3 came before, with a 4 after it; 2 3 with a 5.
        let scores = penalties(&[1, 2, 3, 4, 7, 2, 3, 5, 1, 2, 3]);
        assert_eq!((scores[4], scores[5]), (-1.0, -0.5));
        assert_eq!(scores.iter().filter(|score| **score != 0.0).count(), 2);
        // One token is allowed, a breaker ends a sequence, and is not lowered itself.
        assert_eq!(penalties(&[3, 4, 3]), [0.0; 10]);
        assert_eq!(penalties(&[2, 9, 4, 2, 9]), [0.0; 10]);
        assert_eq!(penalties(&[2, 3, 9, 2, 3]), [0.0; 10]);
    }
}
