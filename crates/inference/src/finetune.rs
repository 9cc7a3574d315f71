use descant_autograd::{ParameterId, Parameters, derive_seed};
use descant_hyperparameters::parameter_patterns::{self, compile};
use descant_nn::Init;
use descant_tensor::Brief;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fine-tuning: which parameters are trained, and how fast. The `[finetune]` table of a recipe. Parameters are named by
/// patterns, in which `*` stands for any characters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FinetuneConfig {
    /// The trained parameters; by default all, and with `lora` only the adapters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub train: Vec<String>,
    /// The frozen parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Learning-rate multipliers; where several patterns match, their product.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<String, f64>,
    /// Low-rank adapters (LoRA).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
}

/// LoRA (Hu et al. 2022, arXiv 2106.09685): `W + alpha / rank · B A` with a frozen `W`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank: the rows of `A`.
    pub rank: usize,
    /// By default as `rank`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// The adapted matrices; by default all but embeddings, positions, and what `train` and `freeze` name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
}

/// Parts of the names of embedding and position tables.
const TABLES: [&str; 5] = ["embedding", "projection", "position", "relative", "targets"];

impl FinetuneConfig {
    /// Checks that every number is in its range, and that every pattern parses.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let check = |key: &str, pattern: &String| compile(key, pattern).map(drop);
        self.train.iter().try_for_each(|pattern| check("finetune.train", pattern))?;
        self.freeze.iter().try_for_each(|pattern| check("finetune.freeze", pattern))?;
        self.rates.keys().try_for_each(|pattern| check("finetune.rates", pattern))?;
        if let Some((pattern, rate)) = self.rates.iter().find(|(_, rate)| !(0.0..=1e6).contains(*rate)) {
            return Err(format!("finetune.rates.{pattern:?} = {}: expected a number from 0 to 1000000", Brief(*rate)));
        }
        let Some(lora) = &self.lora else { return Ok(()) };
        lora.targets.iter().try_for_each(|pattern| check("finetune.lora.targets", pattern))?;
        if !(1..=65_536).contains(&lora.rank) {
            return Err(format!("finetune.lora.rank = {}: expected a number from 1 to 65536", lora.rank));
        }
        match lora.alpha {
            Some(alpha) if !(alpha > 0.0 && alpha.is_finite()) => {
                Err(format!("finetune.lora.alpha = {}: expected a number above 0", Brief(alpha)))
            }
            _ => Ok(()),
        }
    }

    /// Freezes parameters, adds adapters, and sets learning-rate multipliers.
    ///
    /// # Errors
    /// A pattern that no parameter has, and where nothing is left to train.
    pub fn apply(&self, parameters: &mut Parameters, seed: u64) -> Result<(), String> {
        let own: Vec<ParameterId> = parameters.ids().collect();
        let trained = matching("train", &self.train, parameters, &own)?;
        let mut frozen = matching("freeze", &self.freeze, parameters, &own)?;
        let named: Vec<ParameterId> = trained.iter().chain(&frozen).copied().collect();
        if self.lora.is_some() || !self.train.is_empty() {
            frozen.extend(own.iter().filter(|id| !trained.contains(id)));
        }
        for pattern in &self.train {
            if matching("train", [pattern], parameters, &own)?.iter().all(|id| frozen.contains(id)) {
                return Err(format!("finetune.train: all that {pattern:?} names is in finetune.freeze too"));
            }
        }
        frozen.into_iter().for_each(|id| parameters.set_trainable(id, false));
        if let Some(lora) = &self.lora {
            lora.adapt(parameters, &own, &named, seed)?;
        }
        let all: Vec<ParameterId> = parameters.ids().collect();
        for (pattern, factor) in &self.rates {
            let matched = matching("rates", [pattern], parameters, &all)?;
            if matched.iter().all(|&id| !parameters.is_trainable(id)) {
                return Err(format!(
                    "finetune.rates.{pattern:?}: all that it names is frozen, so that no rate matters. Leave it out, or name \
                     it in finetune.train"
                ));
            }
            for id in matched {
                parameters.set_lr_scale(id, parameters.lr_scale(id) * factor);
            }
        }
        match parameters.ids().any(|id| parameters.is_trainable(id) && parameters.lr_scale(id) > 0.0) {
            true => Ok(()),
            false => {
                Err("finetune: all parameters are frozen or have a rate of 0, and nothing is left to train".to_owned())
            }
        }
    }
}

impl LoraConfig {
    /// `named` are the parameters that the recipe freezes or trains themselves.
    fn adapt(
        &self,
        parameters: &mut Parameters,
        own: &[ParameterId],
        named: &[ParameterId],
        seed: u64,
    ) -> Result<(), String> {
        let targets: Vec<ParameterId> = match self.targets.is_empty() {
            true => {
                let is_table = |id: ParameterId| TABLES.iter().any(|table| parameters.name(id).contains(table));
                let fits = |id| parameters.shape(id).rank() == 2 && !is_table(id) && !named.contains(&id);
                own.iter().copied().filter(|&id| fits(id)).collect()
            }
            false => matching("lora.targets", &self.targets, parameters, own)?,
        };
        if let Some(&id) = targets.iter().find(|id| named.contains(id)) {
            let name = parameters.name(id);
            return Err(format!("finetune.lora.targets: {name} is in finetune.train or finetune.freeze too"));
        }
        let scale = self.alpha.map_or(1.0, |alpha| alpha / self.rank as f64);
        for id in targets {
            let [a, _] = parameters.adapt(id, self.rank, scale).map_err(|e| format!("finetune.lora.targets: {e}"))?;
            let shape = parameters.shape(a);
            let values =
                Init::Uniform(1.0 / (shape[1].max(1) as f64).sqrt()).draw(shape.len(), derive_seed(seed, a.index()));
            parameters.set(a, &values).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// The parameters among `ids` that any of the patterns matches.
fn matching(
    key: &str,
    patterns: impl IntoIterator<Item = impl AsRef<str>>,
    parameters: &Parameters,
    ids: &[ParameterId],
) -> Result<Vec<ParameterId>, String> {
    let names: Vec<&str> = ids.iter().map(|&id| parameters.name(id)).collect();
    let mut found = Vec::new();
    for pattern in patterns {
        let places = parameter_patterns::matching(&format!("finetune.{key}"), pattern.as_ref(), &names)?;
        found.extend(places.into_iter().map(|place| ids[place]));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use descant_tensor::DType;

    fn parameters() -> Parameters {
        let mut parameters = Parameters::new(DType::F32);
        for (name, rows) in [("embedding.weight", 7), ("layers.0.weight", 3), ("layers.1.weight", 3)] {
            parameters.add(name, [rows, 4]);
        }
        parameters.add("layers.1.bias", [3]);
        parameters
    }

    /// The names that are trained, each with its rate.
    fn trained(config: &str) -> Result<Vec<(String, f64)>, String> {
        let config: FinetuneConfig = toml::from_str(config).unwrap();
        config.validate()?;
        let mut parameters = parameters();
        config.apply(&mut parameters, 1)?;
        let trained = parameters.ids().filter(|&id| parameters.is_trainable(id));
        Ok(trained.map(|id| (parameters.name(id).to_owned(), parameters.lr_scale(id))).collect())
    }

    fn pairs(expected: &[(&str, f64)]) -> Result<Vec<(String, f64)>, String> {
        Ok(expected.iter().map(|&(name, rate)| (name.to_owned(), rate)).collect())
    }

    #[test]
    fn patterns_freeze_and_set_rates() {
        let (embedding, first) = (("embedding.weight", 1.0), ("layers.0.weight", 1.0));
        let (second, bias) = (("layers.1.weight", 1.0), ("layers.1.bias", 1.0));
        assert_eq!(trained(""), pairs(&[embedding, first, second, bias]));
        assert_eq!(trained("freeze = [\"embedding*\", \"*.0.*\"]"), pairs(&[second, bias]));
        assert_eq!(trained("train = [\"layers.1.*\"]\nfreeze = [\"*bias\"]"), pairs(&[second]));
        let rates = "rates = { \"layers.*\" = 0.5, \"*.1.*\" = 0.5 }";
        assert_eq!(trained(rates), pairs(&[embedding, (first.0, 0.5), (second.0, 0.25), (bias.0, 0.25)]));
    }

    #[test]
    fn adapters_are_trained_in_place_of_matrices() {
        let factors = |name: &str| [format!("{name}.lora_A"), format!("{name}.lora_B")];
        let names = |config: &str| trained(config).unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let both = [factors("layers.0.weight"), factors("layers.1.weight")].concat();
        assert_eq!(names("lora = { rank = 2 }"), both);
        assert_eq!(names("lora = { rank = 2, targets = [\"emb*\"] }"), factors("embedding.weight"));
        assert_eq!(
            names("train = [\"*bias\"]\nlora = { rank = 2 }"),
            [vec!["layers.1.bias".to_owned()], both.to_vec()].concat()
        );
        let rates = trained("lora = { rank = 2 }\nrates = { \"*lora_B\" = 16.0 }").unwrap();
        assert_eq!(rates.iter().map(|(_, rate)| *rate).collect::<Vec<_>>(), [1.0, 16.0, 1.0, 16.0]);
    }

    #[test]
    fn errors_are_told() {
        let error = |config: &str| trained(config).unwrap_err();
        assert!(error("freeze = [\"layer.*\"]").contains("no parameter is called \"layer.*\". The nearest are layers"));
        assert!(error("freeze = [\"*embeding*\"]").contains("The nearest are embedding.weight"));
        assert!(error("rates = { \"*\" = 0.0 }").contains("nothing is left to train"));
        assert!(error("lora = { rank = 2 }\nrates = { \"*bias\" = 2.0 }").contains("is frozen"));
        assert!(error("train = [\"*bias\"]\nfreeze = [\"layers*\"]").contains("finetune.freeze too"));
        assert!(error("freeze = [\"*\"]").contains("nothing is left to train"));
        assert!(error("freeze = [\"[\"]").contains("finetune.freeze"));
        assert!(error("rates = { \"*\" = -1.0 }").contains("from 0"));
        assert!(error("lora = { rank = 0 }").contains("rank = 0"));
        assert!(error("lora = { rank = 1, alpha = 0.0 }").contains("alpha = 0"));
        assert!(error("lora = { rank = 1, targets = [\"*bias\"] }").contains("only a matrix"));
    }
}
