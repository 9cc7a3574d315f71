//! Levenshtein's distance with its operations, within a band around the diagonal, as TER has it.

/// What turns a hypothesis into a reference, word by word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    Keep,
    Substitute,
    /// A word of the reference is missing.
    Insert,
    /// A word of the hypothesis is too much.
    Delete,
}

/// Half the width of the band.
const BAND: usize = 25;
/// Beyond the band.
const UNKNOWN: (u32, Edit) = (u32::MAX / 2, Edit::Insert);

/// The table of edits, of which each row has the cells within the band.
#[derive(Default)]
struct Table {
    cells: Vec<(u32, Edit)>,
    /// Of each row its first column, and where its cells begin.
    rows: Vec<(usize, usize)>,
}

impl Table {
    /// Begins a row.
    fn begin(&mut self, first: usize) {
        self.rows.push((first, self.cells.len()));
    }

    /// How many edits lead to a cell, and the last of them.
    fn at(&self, row: usize, column: usize) -> (u32, Edit) {
        let (first, start) = self.rows[row];
        let end = self.rows.get(row + 1).map_or(self.cells.len(), |&(_, next)| next);
        let place = column.checked_sub(first).map(|offset| start + offset);
        place.filter(|&place| place < end).map_or(UNKNOWN, |place| self.cells[place])
    }
}

/// The fewest edits that turn a hypothesis into a reference, and which. Of equal ones, it keeps or substitutes rather than deletes, and
/// deletes rather than inserts.
pub(crate) fn edits<T: PartialEq>(hypothesis: &[T], reference: &[T]) -> (usize, Vec<Edit>) {
    let (rows, columns) = (hypothesis.len(), reference.len() + 1);
    let ratio = if rows == 0 { 1.0 } else { reference.len() as f64 / rows as f64 };
    // Wide enough that the bands of adjacent rows overlap.
    let band = if (BAND as f64) < ratio / 2.0 { (ratio / 2.0 + BAND as f64).ceil() as usize } else { BAND };
    let mut table = Table::default();
    table.begin(0);
    table.cells.extend((0..columns).map(|column| (column as u32, Edit::Insert)));
    for row in 1..=rows {
        let diagonal = (row as f64 * ratio).floor() as usize;
        let last = if row == rows { columns } else { columns.min(diagonal + band) };
        let first = diagonal.saturating_sub(band);
        table.begin(first);
        for column in first..last {
            let deleted = (table.at(row - 1, column).0 + 1, Edit::Delete);
            if column == 0 {
                table.cells.push(deleted);
                continue;
            }
            let same = hypothesis[row - 1] == reference[column - 1];
            let edit = if same { Edit::Keep } else { Edit::Substitute };
            let kept = (table.at(row - 1, column - 1).0 + u32::from(!same), edit);
            let inserted = (table.at(row, column - 1).0 + 1, Edit::Insert);
            let better = |best: (u32, Edit), way: (u32, Edit)| if way.0 < best.0 { way } else { best };
            table.cells.push([kept, deleted, inserted].into_iter().fold(UNKNOWN, better));
        }
    }
    let (mut row, mut column, mut path) = (rows, columns - 1, Vec::with_capacity(rows + columns));
    while row > 0 || column > 0 {
        // At an edge of the table there is one way alone.
        let edit = match (row, column) {
            (0, _) => Edit::Insert,
            (_, 0) => Edit::Delete,
            _ => table.at(row, column).1,
        };
        path.push(edit);
        row -= usize::from(edit != Edit::Insert);
        column -= usize::from(edit != Edit::Delete);
    }
    path.reverse();
    (table.at(rows, columns - 1).0 as usize, path)
}
