//! Validates a recipe as a whole, before anything that it names is read.

use super::Recipe;
use super::check::check_all;
use descant_models::{EmbeddingLoss, LossConfig, ModelKind};

impl Recipe {
    /// That every value is in the range of its key, and that values fit each other.
    ///
    /// # Errors
    /// The key, its value, and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        check_all(&toml::Table::try_from(self).map_err(|error| error.to_string())?)?;
        self.generation.validate().map_err(|reason| format!("generation.{reason}"))?;
        self.validate_data()?;
        // Before tokenizers are trained, which may take minutes.
        self.model.validate_sizes(&self.loss)?;
        self.tokenizer.validate().map_err(|reason| format!("tokenizer.{reason}"))?;
        if let Some(tokenizer) = &self.target_tokenizer {
            tokenizer.validate().map_err(|reason| format!("target_tokenizer.{reason}"))?;
        }
        self.validate_loss()?;
        if let Some(finetune) = &self.finetune {
            finetune.validate()?;
        }
        if let Some(distill) = &self.distill {
            distill.validate()?;
        }
        if let Some(control) = &self.control {
            control.validate()?;
        }
        self.optimizer.validate()?;
        // With epochs, only the texts tell the number of steps; a schedule is shortened with a training that an override
        // shortens, and so it is when its run is read.
        match self.train.epochs == 0 && !self.is_shortened() {
            true => self.schedule.validate(self.train.most_steps())?,
            false => self.schedule.validate(u64::MAX)?,
        }
        self.train.validate_metrics(self.loss.measures())?;
        self.train.clip.validate()
    }

    fn validate_data(&self) -> Result<(), String> {
        let Some(data) = &self.data else { return Ok(()) };
        if data.stream && self.model.kind == ModelKind::EncoderDecoder {
            return Err("data.stream = true: one continuous text is for kind = \"language-model\"".to_owned());
        }
        let length = self.train.length;
        if let Some(most) = self.model.max_length().filter(|&most| data.stream && length > most) {
            return Err(format!("train.length = {length}: expected at most model.transformer.max_length = {most}"));
        }
        let whole = match self.loss {
            LossConfig::Dpo(_) => Some("preferences for loss.kind = \"dpo\""),
            LossConfig::MinimumRisk(_) => Some("prompts for loss.kind = \"minimum-risk\""),
            _ => None,
        };
        if let Some(what) = whole.filter(|_| data.stream) {
            return Err(format!("data.stream = true: one continuous text has no {what}"));
        }
        if data.stream && (data.columns.is_some() || data.train.is_parallel()) {
            return Err("data.stream = true: one continuous text has no columns, and no parallel file".to_owned());
        }
        if let Some(filter) = &data.filter {
            filter.validate()?;
        }
        match data.shared_vocabulary && self.target_tokenizer.is_some() {
            true => Err("data.shared_vocabulary = true: expected no [target_tokenizer] beside it".to_owned()),
            false => Ok(()),
        }
    }

    fn validate_loss(&self) -> Result<(), String> {
        match self.loss {
            LossConfig::CrossEntropy { smoothing, r_drop, focal, .. } => {
                let is_consistent = r_drop > 0.0;
                if focal > 0.0 && smoothing > 0.0 {
                    return Err(format!("loss.focal = {focal}: expected no loss.smoothing beside it"));
                }
                if is_consistent && !self.model.has_dropout() {
                    return Err(
                        "loss.consistency: without dropout both passes are the same. Set model.dropout".to_owned()
                    );
                }
                if is_consistent && self.distill.is_some() {
                    return Err("loss.consistency: expected no [distill] beside it".to_owned());
                }
                match self.model.output_soft_cap.is_some() && (is_consistent || self.distill.is_some()) {
                    true => {
                        Err("model.output_soft_cap: expected no loss.consistency and no [distill] beside it".to_owned())
                    }
                    false => Ok(()),
                }
            }
            LossConfig::Dpo(ref config) => {
                if config.smoothing >= 0.5 {
                    return Err(format!(
                        "loss.smoothing = {}: expected less than 0.5, as with loss.kind = \"dpo\" it is the share of the \
                         preferences that are the wrong way round",
                        config.smoothing
                    ));
                }
                if self.init.is_none() {
                    return Err(
                        "loss.kind = \"dpo\": preferences say what a trained model should rather write. Set init to its run"
                            .to_owned(),
                    );
                }
                match self.distill.is_some() {
                    true => {
                        Err("distill: with loss.kind = \"dpo\" there is no loss of a token to learn from a teacher. \
                                 Leave it out"
                            .to_owned())
                    }
                    false => Ok(()),
                }
            }
            LossConfig::MinimumRisk(_) => {
                if self.init.is_none() {
                    return Err("loss.kind = \"minimum-risk\": its candidates are what a trained model writes. Set init to its run"
                        .to_owned());
                }
                match self.distill.is_some() {
                    true => {
                        Err("distill: with loss.kind = \"minimum-risk\" there is no loss of a token to learn from a \
                                 teacher. Leave it out"
                            .to_owned())
                    }
                    false => Ok(()),
                }
            }
            LossConfig::Embedding { measure } => {
                if measure == EmbeddingLoss::Vmf && self.model.embedding(self.model.decoder) < 2 {
                    return Err("model.embedding = 1: expected 2 or more for loss.measure = \"vmf\"".to_owned());
                }
                match self.distill.is_some() {
                    true => Err("distill: the teacher's logits need loss.kind = \"cross-entropy\"".to_owned()),
                    false => Ok(()),
                }
            }
        }
    }
}
