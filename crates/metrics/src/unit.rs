use crate::metric::Scale;
use crate::whitespace::words;

/// The tokens that texts are compared in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextUnit {
    /// Words between white space.
    Words,
    /// Characters, where spaces do not separate words.
    #[default]
    Characters,
}

/// In scripts without spaces, words are shorter than this on average; longer ones are unsegmented text.
const LONG: usize = 6;

impl TextUnit {
    /// The unit of a set of references: words, if any has spaces within it; in scripts without spaces, such as Chinese or
    /// Thai, only if they are segmented throughout.
    pub fn of<'a>(references: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut words, mut characters, mut unspaced, mut spaced) = (0, 0, 0, false);
        for reference in references {
            let before = words;
            for word in reference.split_whitespace() {
                words += 1;
                characters += word.chars().count();
                unspaced += word.chars().filter(|&c| is_unspaced(c)).count();
            }
            spaced |= words > before + 1;
        }
        let runs_on = 2 * unspaced > characters && characters > LONG * words;
        if spaced && !runs_on { Self::Words } else { Self::Characters }
    }
}

impl TextUnit {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Characters => "characters",
        }
    }

    /// The scale of what is a share of them.
    pub(crate) fn share(self) -> Scale {
        Scale::Share(match self {
            Self::Words => "the words",
            Self::Characters => "the characters",
        })
    }

    /// Those of a text, without white space.
    pub(crate) fn tokens(self, text: &str) -> Vec<&str> {
        match self {
            Self::Words => words(text).collect(),
            Self::Characters => {
                words(text).flat_map(|word| word.split("")).filter(|character| !character.is_empty()).collect()
            }
        }
    }
}

/// Whether a character is of a script that is written without spaces: Thai, Lao, Tibetan, Burmese, Khmer, Japanese, Chinese.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
        || matches!(c, '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
