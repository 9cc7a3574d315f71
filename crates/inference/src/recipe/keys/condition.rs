//! Conditions under which a key has an effect.

use crate::{Recipe, Task};
use descant_models::{LayerKind, LossConfig, ModelKind};
use descant_nn::{Cell, Position};

/// The recipes that a key has an effect in.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// In words.
    pub words: &'static str,
    /// Whether a recipe is one of them.
    pub holds: fn(&Recipe) -> bool,
}

const fn condition(words: &'static str, holds: fn(&Recipe) -> bool) -> Condition {
    Condition { words, holds }
}

pub(super) const ALWAYS: Condition = condition("", |_| true);
pub(super) const ENCODER_DECODER: Condition = condition("model.kind = \"encoder-decoder\"", is_encoder_decoder);
pub(super) const LANGUAGE_MODEL: Condition =
    condition("model.kind = \"language-model\"", |recipe| !is_encoder_decoder(recipe));
pub(super) const RECURRENT: Condition = condition("recurrent layers (model.decoder or model.encoder)", |recipe| {
    layers(recipe).contains(&LayerKind::Recurrent)
});
pub(super) const LSTM: Condition =
    condition("recurrent layers (model.decoder or model.encoder) and model.cell = \"lstm\"", |recipe| {
        layers(recipe).contains(&LayerKind::Recurrent) && recipe.model.cell == Cell::Lstm
    });
pub(super) const DEEP_RECURRENT: Condition =
    condition("two or more recurrent layers of one side (model.layers or model.encoder_layers)", |recipe| {
        let Recipe { model, .. } = recipe;
        let encoder = is_encoder_decoder(recipe).then(|| (model.encoder(), model.encoder_layers));
        let sides = [Some((model.decoder, model.layers)), encoder];
        sides.into_iter().flatten().any(|(kind, layers)| kind == LayerKind::Recurrent && layers > 1)
    });
pub(super) const RECURRENT_DROPOUT: Condition =
    condition("recurrent layers (model.decoder or model.encoder) and model.dropout", |recipe| {
        layers(recipe).contains(&LayerKind::Recurrent) && recipe.model.dropout > 0.0
    });
pub(super) const RECURRENT_ENCODER: Condition = condition("an encoder-decoder with a recurrent encoder", |recipe| {
    is_encoder_decoder(recipe) && recipe.model.encoder() == LayerKind::Recurrent
});
pub(super) const RECURRENT_DECODER: Condition = condition("an encoder-decoder with a recurrent decoder", |recipe| {
    is_encoder_decoder(recipe) && recipe.model.decoder == LayerKind::Recurrent
});
pub(super) const TRANSFORMER: Condition =
    condition("Transformer layers (model.decoder or model.encoder = \"transformer\")", has_transformer);
pub(super) const TRANSFORMER_DECODER: Condition =
    condition("model.decoder = \"transformer\"", |recipe| recipe.model.decoder == LayerKind::Transformer);
pub(super) const LENGTH: Condition = condition("position = \"learned\", or weights from elsewhere", |recipe| {
    has_position(recipe, Position::Learned)
        || has_transformer(recipe) && (recipe.data.is_none() || recipe.init.is_some())
});
pub(super) const ROTARY: Condition =
    condition("position = \"rotary\"", |recipe| has_position(recipe, Position::Rotary));
pub(super) const RELATIVE: Condition =
    condition("position = \"relative\"", |recipe| has_position(recipe, Position::Relative));
pub(super) const SOFTMAX: Condition =
    condition("a loss.kind other than \"embedding\"", |recipe| !matches!(recipe.loss, LossConfig::Embedding { .. }));
pub(super) const STREAM: Condition = condition("data.stream = true", |recipe| {
    recipe.leaves_stream_open() || recipe.data.as_ref().is_some_and(|data| data.stream)
});
pub(super) const CARRIED: Condition = condition("a recurrent language model and data.stream = true", |recipe| {
    !is_encoder_decoder(recipe)
        && recipe.model.decoder == LayerKind::Recurrent
        && (recipe.data.is_none() || (STREAM.holds)(recipe))
});
pub(super) const LINES: Condition = condition("no data.stream: a continuous text is cut by train.length", |recipe| {
    recipe.leaves_stream_open() || recipe.data.as_ref().is_some_and(|data| !data.stream)
});
pub(super) const SPAN_CORRUPTION: Condition = condition("data.task = \"span-corruption\"", |recipe| {
    recipe.data.as_ref().is_some_and(|data| data.task == Task::SpanCorruption)
});
pub(super) const GUIDED: Condition = condition("train.guided_alignment", |recipe| recipe.train.guided_alignment > 0.0);
pub(super) const HELD_OUT: Condition =
    condition("no data.validation", |recipe| recipe.data.as_ref().is_some_and(|data| data.validation.is_none()));
pub(super) const FILTERED_SCRIPT: Condition = condition("source_script or target_script", |recipe| {
    let filter = recipe.data.as_ref().and_then(|data| data.filter.as_ref());
    filter.is_some_and(|filter| filter.source_script.or(filter.target_script).is_some())
});
pub(super) const MISTYPED: Condition = condition("data.noise.keyboard", |recipe| {
    let noise = recipe.data.as_ref().and_then(|data| data.noise.as_ref());
    is_encoder_decoder(recipe) && noise.is_some_and(|noise| noise.keyboard > 0.0)
});
pub(super) const BY_TOKENS: Condition =
    condition("no train.batch_sentences", |recipe| recipe.train.batch_sentences == 0);
pub(super) const METRIC_COMMAND: Condition =
    condition("train.metric_command", |recipe| recipe.train.metric_command.is_some());
pub(super) const TEXT_METRICS: Condition =
    condition("train.validation_metrics or train.metric_command", |recipe| recipe.train.text_metric().is_some());
pub(super) const PATIENCE: Condition = condition("train.patience", |recipe| recipe.train.patience > 0);
pub(super) const BATCH_WARMUP: Condition = condition("train.batch_warmup", |recipe| recipe.train.batch_warmup > 0);
pub(super) const SAMPLED: Condition =
    condition("train.scheduled_sampling", |recipe| recipe.train.scheduled_sampling > 0.0);
pub(super) const LENGTH_WARMUP: Condition = condition("train.length_warmup", |recipe| recipe.train.length_warmup > 0);

fn is_encoder_decoder(recipe: &Recipe) -> bool {
    recipe.model.kind == ModelKind::EncoderDecoder
}

/// The layers of encoder and decoder.
fn layers(recipe: &Recipe) -> [LayerKind; 2] {
    let decoder = recipe.model.decoder;
    [if is_encoder_decoder(recipe) { recipe.model.encoder() } else { decoder }, decoder]
}

fn has_transformer(recipe: &Recipe) -> bool {
    layers(recipe).contains(&LayerKind::Transformer)
}

fn has_position(recipe: &Recipe, position: Position) -> bool {
    has_transformer(recipe) && recipe.model.transformer().position == position
}
