//! Prints thirty examples of each language: `cargo run -p descant-spoken --example samples`.

use descant_spoken::{Generator, Language, Part};

fn main() {
    for language in [Language::English, Language::Chinese] {
        let generator = Generator::new(1, Part::Train);
        for example in generator.filter(|example| example.language == language).take(30) {
            println!("{}\n    {}", example.written, example.spoken);
        }
    }
}
