//! What was found in a text, and where.

use crate::file_form::unit;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A line of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// From 1.
    pub line: u64,
    /// Which of the files it is in, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub file: u32,
}

impl Place {
    /// In words, among these files.
    pub(crate) fn told(self, files: &[String]) -> String {
        match files.get(self.file as usize) {
            Some(file) => format!("{} {} of {file}", unit(Path::new(file)), self.line),
            None => format!("line {}", self.line),
        }
    }
}

fn is_first(file: &u32) -> bool {
    *file == 0
}

/// How often something was found, and in which line first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// How often.
    pub count: u64,
    /// Where first.
    #[serde(flatten)]
    pub first: Place,
}

impl Found {
    /// Finds `count` more of it.
    pub(crate) fn add(&mut self, count: u64, place: Place) {
        if self.count == 0 && count > 0 {
            self.first = place;
        }
        self.count += count;
    }

    pub(crate) fn is_none(&self) -> bool {
        self.count == 0
    }

    /// The same in words for one and for several.
    pub(crate) fn told_of(&self, one: &str, several: &str, files: &[String]) -> Option<String> {
        self.told(if self.count == 1 { one } else { several }, files)
    }

    pub(crate) fn told(&self, what: &str, files: &[String]) -> Option<String> {
        (self.count > 0).then(|| format!("{} {what} (first in {})", self.count, self.first.told(files)))
    }
}
