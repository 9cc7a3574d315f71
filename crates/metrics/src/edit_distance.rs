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
const UNKNOWN: u32 = u32::MAX / 2;

/// The fewest edits that turn a hypothesis into a reference, and which. Of equal ones, it keeps or substitutes rather than deletes, and
/// deletes rather than inserts.
pub(crate) fn edits<T: PartialEq>(hypothesis: &[T], reference: &[T]) -> (usize, Vec<Edit>) {
    let (rows, columns) = (hypothesis.len(), reference.len() + 1);
    let ratio = if rows == 0 { 1.0 } else { reference.len() as f64 / rows as f64 };
    // Wide enough that the bands of adjacent rows overlap.
    let band = if (BAND as f64) < ratio / 2.0 { (ratio / 2.0 + BAND as f64).ceil() as usize } else { BAND };
    let mut cells = vec![(UNKNOWN, Edit::Insert); (rows + 1) * columns];
    (0..columns).for_each(|column| cells[column].0 = column as u32);
    for row in 1..=rows {
        let diagonal = (row as f64 * ratio).floor() as usize;
        let last = if row == rows { columns } else { columns.min(diagonal + band) };
        for column in diagonal.saturating_sub(band)..last {
            let above = cells[(row - 1) * columns + column].0 + 1;
            if column == 0 {
                cells[row * columns] = (above, Edit::Delete);
                continue;
            }
            let same = hypothesis[row - 1] == reference[column - 1];
            let edit = if same { Edit::Keep } else { Edit::Substitute };
            let ways = [
                (cells[(row - 1) * columns + column - 1].0 + u32::from(!same), edit),
                (above, Edit::Delete),
                (cells[row * columns + column - 1].0 + 1, Edit::Insert),
            ];
            let cell = &mut cells[row * columns + column];
            for way in ways {
                if way.0 < cell.0 {
                    *cell = way;
                }
            }
        }
    }
    let (mut row, mut column, mut path) = (rows, columns - 1, Vec::with_capacity(rows + columns));
    while row > 0 || column > 0 {
        // At an edge of the table there is one way alone.
        let edit = match (row, column) {
            (0, _) => Edit::Insert,
            (_, 0) => Edit::Delete,
            _ => cells[row * columns + column].1,
        };
        path.push(edit);
        row -= usize::from(edit != Edit::Insert);
        column -= usize::from(edit != Edit::Delete);
    }
    path.reverse();
    (cells[rows * columns + columns - 1].0 as usize, path)
}
