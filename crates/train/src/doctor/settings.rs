//! Settings that do not go together, beside those that the recipe itself refuses or ignores.

use super::finding::{Finding, Severity};
use descant_hyperparameters::OptimizerConfig;
use descant_inference::{Recipe, count};
use descant_models::LayerKind;

/// What is known of a training before its first step.
pub(super) struct Plan<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) steps: u64,
    pub(super) parameters: f64,
    /// Target tokens to learn from.
    pub(super) tokens: u64,
    /// How often all of them are learned from.
    pub(super) epochs: f64,
    pub(super) validates: bool,
}

type Rule = fn(&Plan<'_>) -> Option<(Severity, String, String)>;

/// A number below 1, rounded down to two digits of what it lacks: `0.99977`.
fn below_one(number: f64) -> f64 {
    let lacking = 1.0 - number;
    let unit = 10_f64.powf(lacking.log10().floor() - 1.0);
    1.0 - (lacking / unit).ceil() * unit
}

const RULES: &[Rule] = &[
    |plan| {
        let decay = plan.recipe.train.average;
        let left = decay.powf(plan.steps as f64);
        (decay > 0.0 && left > 0.1).then(|| {
            let percent = 100.0 * left;
            let most = 0.1_f64.powf(1.0 / plan.steps as f64);
            (
                Severity::Warning,
                format!("train.average = {decay}: after {} steps, {percent:.0} % of the average are still the first weights", plan.steps),
                format!("Lower it to {} or less, or train longer", below_one(most)),
            )
        })
    },
    |plan| {
        let Recipe { train, schedule, model, init, .. } = plan.recipe;
        let transformer = [model.decoder, model.encoder()].contains(&LayerKind::Transformer);
        // The factor of the first steps.
        let starts_high = schedule.factor(0, plan.steps) > 0.5;
        (transformer && init.is_none() && starts_high && train.learning_rate > 5e-4).then(|| {
            (
                Severity::Warning,
                format!(
                    "a Transformer that starts at once with train.learning_rate = {} often diverges",
                    train.learning_rate
                ),
                "Set schedule.warmup, to some hundred steps or more".to_owned(),
            )
        })
    },
    |plan| {
        let Recipe { train, optimizer, .. } = plan.recipe;
        let adaptive =
            matches!(optimizer, OptimizerConfig::Adam(_) | OptimizerConfig::Adamw(_) | OptimizerConfig::Rmsprop(_));
        (adaptive && train.learning_rate > 0.03).then(|| {
            (
                Severity::Warning,
                format!(
                    "train.learning_rate = {} is far above what Adam and its like are trained with",
                    train.learning_rate
                ),
                "Try 1e-3 to 5e-3".to_owned(),
            )
        })
    },
    |plan| {
        let Recipe { train, schedule, .. } = plan.recipe;
        let until = train.patience.saturating_mul(train.validate_every);
        let rises = (0..plan.steps)
            .step_by(train.validate_every.max(1) as usize)
            .take_while(|&step| schedule.factor(step, plan.steps) < schedule.factor(step + 1, plan.steps));
        let warm = rises.last().unwrap_or(0);
        (train.patience > 0 && until < warm).then(|| {
            (
                Severity::Warning,
                format!("train.patience = {}: training may end within the {warm} steps of the warm-up", train.patience),
                "Raise train.patience, or lower schedule.warmup".to_owned(),
            )
        })
    },
    |plan| {
        let most = plan.tokens as f64;
        let dropout = plan.recipe.model.has_dropout() || plan.recipe.finetune.is_some();
        (plan.epochs > 30.0 && plan.parameters > most && !dropout && plan.validates).then(|| {
            let (parameters, epochs) = (count(plan.parameters), plan.epochs);
            (
                Severity::Note,
                format!(
                    "{parameters} parameters learn from {} target tokens {epochs:.0} times without dropout: the model memorises \
                     them",
                    count(most)
                ),
                "Set model.dropout (0.2 to 0.4), train.patience, a smaller model, or fewer steps".to_owned(),
            )
        })
    },
    |plan| {
        (plan.epochs < 1.0 && !plan.recipe.is_shortened()).then(|| {
            (
                Severity::Note,
                format!("{} steps read only {:.0} % of the text", plan.steps, 100.0 * plan.epochs),
                "Raise train.steps or train.batch_tokens, or set train.epochs, if all of it is to be read".to_owned(),
            )
        })
    },
    |plan| {
        (!plan.validates).then(|| {
            (
                Severity::Note,
                "nothing is held out to validate on, so that the last checkpoint is kept as the best one".to_owned(),
                "Set data.validation or data.validation_share".to_owned(),
            )
        })
    },
];

pub(super) fn check(plan: &Plan<'_>) -> Vec<Finding> {
    let found = RULES.iter().filter_map(|rule| rule(plan));
    found.map(|(severity, message, remedy)| Finding::new("settings", severity, message, remedy)).collect()
}

#[cfg(test)]
mod tests {
    use super::below_one;

    #[test]
    fn numbers_below_one_stay_below_it() {
        for (number, expected) in [(0.999_769_8, 0.999_76), (0.794_3, 0.79), (0.518, 0.51)] {
            assert!((below_one(number) - expected).abs() < 1e-9, "{number}: {}", below_one(number));
        }
    }
}
