//! Pre-trained word vectors in the text form of word2vec and fastText (`.vec`): a line with the number of words and that of the
//! numbers of each, then a word and its numbers on each line. GloVe's files are the same without the first line.

use crate::{Found, Lines, Place, TextError, plural};
use std::collections::HashMap;
use std::path::Path;

/// The vectors of some words, and what else was found in their file.
#[derive(Debug, Default)]
pub struct WordVectors {
    vectors: HashMap<String, Box<[f32]>>,
    /// Words that the file has.
    words: u64,
    /// Those that it says it has, where it says so.
    declared: Option<u64>,
    duplicates: Found,
    zeros: Found,
    /// Words with white space in them, which no token is.
    spaced: Found,
    /// Lines that are not UTF-8, or longer than any line is.
    unreadable: Found,
}

/// What separates a word from its numbers, and these from each other.
const SEPARATORS: [char; 2] = [' ', '\t'];

impl WordVectors {
    /// Reads the vectors of the words that are wanted. The file may be much larger than memory: lines of other words are passed over.
    /// `key` is that of a recipe for the number of numbers, which is to be `width`.
    ///
    /// # Errors
    /// With file and line: vectors of another width, or of a word that is wanted with something that is no number, or not finite.
    /// A file that is none of word vectors, or has none that is wanted.
    pub fn read(path: &Path, width: usize, key: &str, is_wanted: impl Fn(&str) -> bool) -> Result<Self, TextError> {
        let mut lines = Lines::objects(path)?;
        let mut found = Self::default();
        let mut is_first = true;
        loop {
            let line = match lines.read() {
                Ok(None) => break,
                Ok(Some(line)) => line,
                // One of millions, from a text that nobody checked.
                Err(error) if error.place().is_some() && !is_first => {
                    found.unreadable.add(1, at(&lines));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let number = lines.number();
            let wrong = |reason: String| TextError::Example { path: path.to_owned(), line: number, reason };
            if std::mem::take(&mut is_first) {
                let (words, numbers) = form(&line).map_err(wrong)?;
                if numbers == 0 {
                    return Err(wrong("it says that vectors have no numbers: the file is damaged".to_owned()));
                }
                if numbers != width {
                    let has = plural(numbers as u64, "number");
                    return Err(wrong(format!(
                        "its vectors have {has}, and the embedding {width}: set {key} = {numbers}, or take a file of others"
                    )));
                }
                found.declared = words;
                if words.is_some() {
                    continue;
                }
            }
            let Some((word, numbers)) = line.split_once(SEPARATORS) else {
                match line.is_empty() {
                    true => continue,
                    false => return Err(wrong("a word without numbers: the file is cut off or damaged".to_owned())),
                }
            };
            found.words += 1;
            if is_wanted(word) {
                found.add(word, numbers, width, at(&lines)).map_err(wrong)?;
            }
        }
        if found.vectors.is_empty() && found.zeros.count > 0 {
            let zeros = plural(found.zeros.count, "word");
            let reason = format!("all vectors of the vocabulary's words ({zeros}) are zeros. Take another file");
            return Err(TextError::Vectors { path: path.to_owned(), reason });
        }
        if found.vectors.is_empty() {
            let words = plural(found.words, "word");
            let binary = found.declared.is_some_and(|declared| found.words < declared && found.unreadable.count > 0);
            let unreadable =
                found.unreadable.told_of("line cannot be read as text", "lines cannot be read as text", &[]);
            let reason = format!(
                "none of its {words} is an entry of the vocabulary{}. {}",
                unreadable.map(|told| format!(" ({told})")).unwrap_or_default(),
                match binary {
                    true => "It looks like word2vec's binary form: write it as text",
                    false => {
                        "Check its language, and how it writes capitals and punctuation: descant tokenize shows what the entries are"
                    }
                }
            );
            return Err(TextError::Vectors { path: path.to_owned(), reason });
        }
        Ok(found)
    }

    /// Adds the vector of a word that is wanted.
    fn add(&mut self, word: &str, numbers: &str, width: usize, place: Place) -> Result<(), String> {
        let fields: Vec<&str> = numbers.split(SEPARATORS).filter(|field| !field.is_empty()).collect();
        let (has, word_shown) = (fields.len(), shown(word));
        if has > width && fields[..has - width].iter().any(|field| field.parse::<f32>().is_err()) {
            self.spaced.add(1, place);
            return Ok(());
        }
        if has != width {
            let has = plural(has as u64, "number");
            return Err(format!("the vector of {word_shown} has {has}, expected {width}. Mend or take out the line"));
        }
        let mut vector = Vec::with_capacity(width);
        for field in fields {
            match field.parse::<f32>() {
                Ok(number) if number.is_finite() => vector.push(number),
                Ok(_) => {
                    return Err(format!(
                        "the vector of {word_shown} has {}, which is not finite. Mend or take out the line",
                        shown(field)
                    ));
                }
                Err(_) => {
                    return Err(format!(
                        "the vector of {word_shown} has {}, which is no number. Mend or take out the line",
                        shown(field)
                    ));
                }
            }
        }
        if vector.iter().all(|&number| number == 0.0) {
            self.zeros.add(1, place);
        } else if self.vectors.contains_key(word) {
            self.duplicates.add(1, place);
        } else {
            self.vectors.insert(word.to_owned(), vector.into());
        }
        Ok(())
    }

    /// The vector of a word that was wanted.
    pub fn get(&self, word: &str) -> Option<&[f32]> {
        self.vectors.get(word).map(AsRef::as_ref)
    }

    /// Notes on the file, in parts of a sentence.
    pub fn remarks(&self) -> Vec<String> {
        let counted = [
            self.duplicates.told_of(
                "word that was there before, whose first vector counts",
                "words that were there before, whose first vectors count",
                &[],
            ),
            self.zeros.told_of("vector of zeros, which says nothing", "vectors of zeros, which say nothing", &[]),
            self.spaced.told_of(
                "word with a space in it, which no token is",
                "words with spaces in them, which no token is",
                &[],
            ),
            self.unreadable.told_of(
                "line that is not UTF-8 or too long, and passed over",
                "lines that are not UTF-8 or too long, and passed over",
                &[],
            ),
        ];
        // Each line that cannot be read is one of its words.
        let words = self.words + self.unreadable.count;
        let declared = self.declared.filter(|&declared| declared != words).map(|declared| {
            let cut = if declared > words { ", so that it may be cut off" } else { "" };
            format!("{} where its first line says {declared}{cut}", plural(words, "word"))
        });
        counted.into_iter().flatten().chain(declared).collect()
    }
}

/// Whether the first line says how many words there are, and how many numbers each has.
fn form(line: &str) -> Result<(Option<u64>, usize), String> {
    let fields: Vec<&str> = line.split(SEPARATORS).filter(|field| !field.is_empty()).collect();
    if let [words, numbers] = fields[..]
        && let (Ok(words), Ok(numbers)) = (words.parse(), numbers.parse())
    {
        return Ok((Some(words), numbers));
    }
    match fields.last().is_some_and(|field| fields.len() > 1 && field.parse::<f32>().is_ok()) {
        true => Ok((None, fields.len() - 1)),
        false => {
            Err("expected word vectors as text: a line with the number of words and that of the numbers of each, or a \
                      word and its numbers"
                .to_owned())
        }
    }
}

fn at(lines: &Lines) -> Place {
    Place { line: lines.number(), file: 0 }
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: impl AsRef<[u8]>, width: usize) -> Result<WordVectors, TextError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words.vec");
        std::fs::write(&path, text).unwrap();
        WordVectors::read(&path, width, "model.embedding", |word| ["dog", "Hund", ",", "."].contains(&word))
    }

    fn error(text: impl AsRef<[u8]>) -> String {
        read(text, 2).unwrap_err().to_string()
    }

    #[test]
    fn all_three_forms_are_read() {
        let word2vec = read("3 2\ndog 0.5 -1e-3 \ncat 1 2 \n, 3 4 \n", 2).unwrap();
        let glove = read("dog 0.5 -0.001\n. . . 7 8\ncat 1 2\n, 3 4\n", 2).unwrap();
        let tabs = read("dog\t0.5\t-0.001\r\ncat\t1\t2\r\n,\t3\t4\r\n", 2).unwrap();
        for vectors in [&word2vec, &glove, &tabs] {
            assert_eq!(vectors.get("dog"), Some(&[0.5, -0.001][..]));
            assert_eq!(vectors.get(","), Some(&[3.0, 4.0][..]));
            assert_eq!((vectors.get("cat"), vectors.get(".")), (None, None));
        }
        assert!(word2vec.remarks().is_empty() && tabs.remarks().is_empty());
        assert_eq!(glove.remarks(), ["1 word with a space in it, which no token is (first in line 2)"]);
    }

    #[test]
    fn what_is_odd_is_counted() {
        let text = [&b"9 2\ndog 1 2\nb\xffd 1 2\ndog 3 4\nHund 0 -0.0\nother x y\n"[..], b"\n, 1 1\n"].concat();
        let vectors = read(text, 2).unwrap();
        assert_eq!(vectors.get("dog"), Some(&[1.0, 2.0][..]), "the first counts");
        assert_eq!(vectors.get("Hund"), None);
        let remarks = vectors.remarks().join("; ");
        for part in
            ["1 word that was there before", "(first in line 4)", "1 vector of zeros", "1 line that is not UTF-8"]
        {
            assert!(remarks.contains(part), "{part}: {remarks}");
        }
        assert!(remarks.contains("6 words where its first line says 9, so that it may be cut off"), "{remarks}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let all = |text: &str, parts: &[&str]| {
            let error = error(text);
            assert!(parts.iter().all(|part| error.contains(part)), "{text:?}: {error}");
        };
        all("2 3\ndog 1 2 3\n", &["words.vec, line 1", "3 numbers", "model.embedding = 3"]);
        all("dog 1 2 3\n", &["line 1", "model.embedding = 3"]);
        all("1 2\ncat 1\ndog 1\n", &["line 3", "\"dog\" has 1 number, expected 2"]);
        all("1 2\ndog 1 2 3\n", &["line 2", "3 numbers, expected 2"]);
        all("1 2\ndog 1 x\n", &["line 2", "\"x\", which is no number"]);
        for number in ["nan", "NaN", "inf", "-Infinity", "1e39"] {
            all(&format!("dog 1 2\nHund 1 {number}\n"), &["line 2", number, "not finite"]);
        }
        all("1 2\ndog", &["line 2", "a word without numbers"]);
        all("1 2\ncat 1 2\n", &["none of its 1 word is an entry"]);
        all("a text of words\n", &["line 1", "expected word vectors"]);
        all("word\n", &["line 1", "expected word vectors"]);
        assert!(error(b"1 2\ndog \xff 1\n").contains("1 line cannot be read as text"));
        assert!(error("").contains("has no text"));
    }
}
