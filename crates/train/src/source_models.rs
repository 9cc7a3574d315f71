use crate::tokenizer_checks::check_taken;
use crate::tokenizer_training::{extended, train_tokenizers};
use crate::{Objective, Teacher, Texts};
use descant_inference::{DataConfig, Error, Recipe, Tokenizers, Trained, chat_template, weights_of};
use descant_text::{ChatTemplate, Form, TokenizerConfig};
use std::path::Path;

/// The template of conversations where none is named.
const DEFAULT: &str = "chatml";

/// The trained models that a recipe names, from which tokenizers and templates come where it has none of its own.
#[derive(Debug)]
pub struct SourceModels {
    /// Whose weights training starts from.
    pub(crate) init: Option<Trained>,
    /// What is minimised, with the models that it needs.
    pub(crate) objective: Objective,
}

impl SourceModels {
    /// Loads them.
    ///
    /// # Errors
    /// Where one cannot be loaded, or is none for the recipe's model.
    pub fn of(recipe: &Recipe) -> Result<Self, Error> {
        let init = recipe.init.as_ref().map(|init| Trained::load_row_major(init)).transpose()?;
        if let Some((init, weights)) = init.as_ref().and_then(|init| Some((init, weights_of(&init.parameters)?))) {
            let reason = format!(
                "its weights are in {weights}, for inference alone. As init, name the run that descant quantize made it of"
            );
            return Err(Error::Run { path: init.run().to_owned(), reason });
        }
        Ok(Self { init, ..Self::resumed(recipe)? })
    }

    /// What a training still needs of them when it goes on.
    pub(crate) fn resumed(recipe: &Recipe) -> Result<Self, Error> {
        Ok(Self { init: None, objective: Objective::load(recipe)? })
    }

    /// What is minimised.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    /// The same, alone.
    pub fn into_objective(self) -> Objective {
        self.objective
    }

    /// What makes texts of conversations.
    pub(crate) fn template(&self, recipe: &Recipe) -> Result<Option<ChatTemplate>, Error> {
        if let Some(DataConfig { chat_template: Some(path), .. }) = &recipe.data {
            let template = chat_template(path)?;
            let marks = template.find_marks();
            return Ok(Some(template.with_controls(marks)));
        }
        let teacher = self.objective.teacher().map(Teacher::trained);
        if let Some(template) = self.init.as_ref().or(teacher).and_then(|trained| trained.chat.clone()) {
            return Ok(Some(template));
        }
        let Some(data) = &recipe.data else { return Ok(None) };
        if crate::data::source(&data.train, data, recipe, None)?.form() != Form::Conversations {
            return Ok(None);
        }
        log::info!(
            "The texts are conversations, and no data.chat_template is named: they are written as \"{DEFAULT}\" has it"
        );
        let template = chat_template(Path::new(DEFAULT))?;
        let marks = template.find_marks();
        Ok(Some(template.with_controls(marks)))
    }

    /// The texts of the recipe.
    ///
    /// # Errors
    /// Where it names none, or its chat template cannot be read.
    pub fn texts(&self, recipe: &Recipe) -> Result<Texts, Error> {
        Texts::with(recipe, self.template(recipe)?.as_ref())
    }

    /// Its tokenizers: those of `init`, with what the recipe adds, or the teacher's, or fresh ones, trained on this many
    /// lines.
    ///
    /// # Errors
    /// What is wrong with the texts; a tokenizer that would not be used.
    pub fn tokenizers(&self, recipe: &Recipe, texts: &Texts, lines: usize) -> Result<Tokenizers, Error> {
        if let Some(init) = &self.init {
            check_taken(recipe, &init.recipe, init.run())?;
            return extended(&init.tokenizers, recipe, texts);
        }
        let Some(teacher) = self.objective.teacher() else { return train_tokenizers(recipe, texts, lines) };
        let Trained { recipe: theirs, tokenizers, .. } = teacher.trained();
        let own = [&TokenizerConfig::default(), &theirs.tokenizer].contains(&&recipe.tokenizer);
        if recipe.target_tokenizer.is_some() || !own {
            return Err(recipe.wrong("[tokenizer]: with [distill] the tokenizers are the teacher's. Leave it out"));
        }
        if recipe.control != theirs.control {
            let reason =
                "[control]: with [distill] it is that of the teacher, whose attributes stand before its sources";
            return Err(recipe.wrong(reason));
        }
        Ok(tokenizers.clone())
    }
}
