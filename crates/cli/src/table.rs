//! Tables of texts.

use crate::report::print;

/// Rows of texts, whose columns are as wide as they need to be.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these heads.
    pub(crate) fn new(heads: Vec<String>) -> Self {
        Self { rows: vec![heads] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let length = |cell: &String| cell.chars().count();
        let width = |i: usize| self.rows.iter().filter_map(|row| row.get(i)).map(length).max().unwrap_or_default();
        let widths: Vec<usize> = (0..self.rows.iter().map(Vec::len).max().unwrap_or_default()).map(width).collect();
        self.rows.iter().try_for_each(|row| {
            let cells = row.iter().zip(&widths);
            let cells = cells.map(|(cell, width)| format!("{cell}{}  ", " ".repeat(width - length(cell))));
            print(cells.collect::<String>().trim_end())
        })
    }
}
