//! A model of SentencePiece as its file: what of a `tokenizer.json` that was made of one says how a text is cut.

use descant_text::UNKNOWN_CHARACTERS;
use serde_json::Value;

/// The kinds of pieces.
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const BYTE: u64 = 6;

/// A message of a protocol buffer.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.varint(field << 3);
        self.varint(number);
    }

    fn real(&mut self, field: u64, real: f32) {
        self.varint(field << 3 | 5);
        self.0.extend(real.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }
}

/// The file.
///
/// # Errors
/// Where pieces are merged, or some are cut out whole.
pub(crate) fn file(json: &Value) -> Result<Vec<u8>, String> {
    let model = &json["model"];
    if model["type"] != "Unigram" || json["pre_tokenizer"].to_string().contains("\"Split\"") {
        return Err(
            "a model of SentencePiece is written of pieces with scores alone, without user-defined ones".to_owned()
        );
    }
    let byte_fallback = model["byte_fallback"] == true;
    let mut file = Message::default();
    let mut add = |text: &str, score: f32, kind: u64| {
        let mut piece = Message::default();
        piece.bytes(1, text.as_bytes());
        piece.real(2, score);
        piece.number(3, kind);
        file.bytes(1, &piece.0);
    };
    let controls = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)];
    controls.iter().for_each(|(text, kind)| add(text, 0.0, *kind));
    for piece in model["vocab"].as_array().into_iter().flatten() {
        let (text, score) = (piece[0].as_str().unwrap_or_default(), piece[1].as_f64().unwrap_or(UNKNOWN_CHARACTERS));
        if score != UNKNOWN_CHARACTERS && controls.iter().all(|(control, _)| *control != text) {
            add(text, score as f32, if byte_fallback && text.starts_with("<0x") { BYTE } else { NORMAL });
        }
    }
    let mut trainer = Message::default();
    trainer.number(3, 1);
    trainer.number(35, byte_fallback.into());
    file.bytes(2, &trainer.0);
    let steps = json["normalizer"]["normalizers"].as_array().map_or(&[][..], Vec::as_slice);
    let charsmap = steps.iter().find_map(|step| step["precompiled_charsmap"].as_str()).unwrap_or_default();
    let charsmap = base64::decode(charsmap).map_err(|error| error.to_string())?;
    let mut normalizer = Message::default();
    normalizer.bytes(2, &charsmap);
    normalizer.number(3, json["pre_tokenizer"].to_string().contains("\"always\"").into());
    normalizer.number(4, steps.iter().any(|step| step["pattern"]["Regex"] == " {2,}").into());
    file.bytes(3, &normalizer.0);
    Ok(file.0)
}
