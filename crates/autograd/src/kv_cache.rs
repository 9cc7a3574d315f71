use descant_kernels::Real;
use descant_tensor::{Buffer, DType};
use std::ops::Range;
use std::sync::Arc;

/// Tokens of a block. The hypotheses of a beam part and share what came before: with few, a parted one copies and reads little of its own.
pub(crate) const BLOCK: usize = 8;

/// KV cache of a decoder: the keys and values of all its layers, for each row of a batch as many tokens as the row has. It lies in
/// blocks of 8 tokens, as those of PagedAttention do (Kwon et al. 2023, arXiv 2309.06180). Rows with the same prefix share their blocks,
/// copy-on-write: a row copies a shared block before it appends to it.
#[derive(Debug)]
pub struct KvCache {
    dtype: DType,
    layers: usize,
    /// Of the keys and the values of one token in one layer.
    columns: usize,
    rows: Vec<Row>,
    /// Free list: blocks that no row holds any longer.
    spare: Vec<Buffer>,
}

impl Clone for KvCache {
    /// The rows, which share their blocks with the clone; not the free list.
    fn clone(&self) -> Self {
        let Self { dtype, layers, columns, rows, .. } = self;
        Self { dtype: *dtype, layers: *layers, columns: *columns, rows: rows.clone(), spare: Vec::new() }
    }
}

#[derive(Clone, Debug, Default)]
struct Row {
    /// `[layers, BLOCK, columns]` each, keys before values.
    blocks: Vec<Arc<Buffer>>,
    /// Cached tokens.
    tokens: usize,
    /// Tokens that the current pass appends.
    new: usize,
}

impl KvCache {
    /// A cache without tokens for so many rows and layers, whose tokens have `columns` of keys and values in each layer.
    pub fn new(dtype: DType, rows: usize, layers: usize, columns: usize) -> Self {
        Self { dtype, layers, columns, rows: vec![Row::default(); rows], spare: Vec::new() }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The tokens of a row: those cached, and those for which there is room.
    pub fn lengths(&self, row: usize) -> (usize, usize) {
        (self.rows[row].tokens, self.rows[row].new)
    }

    /// Whether it has this layer, with so many columns for a token.
    pub(crate) fn has_layer(&self, layer: usize, columns: usize, dtype: DType) -> bool {
        layer < self.layers && columns == self.columns && dtype == self.dtype
    }

    /// Columns of the keys and the values of a token in one layer.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// All tokens for which there is room.
    pub fn reserved(&self) -> usize {
        self.rows.iter().map(|row| row.new).sum()
    }

    /// Makes room for so many more tokens of each row, before a pass.
    pub fn reserve(&mut self, lengths: &[usize]) {
        for (row, &new) in self.rows.iter_mut().zip(lengths) {
            row.new = new;
            if new == 0 {
                continue;
            }
            for block in row.tokens / BLOCK..(row.tokens + new).div_ceil(BLOCK) {
                let held = row.blocks.get_mut(block);
                if held.as_ref().is_some_and(|block| Arc::strong_count(block) == 1) {
                    continue;
                }
                let length = self.layers * BLOCK * self.columns;
                let mut own = self.spare.pop().unwrap_or_else(|| Buffer::zeros(self.dtype, length));
                match held {
                    None => row.blocks.push(Arc::new(own)),
                    Some(shared) => {
                        copy(shared, &mut own, (self.layers, self.columns), row.tokens % BLOCK);
                        *shared = Arc::new(own);
                    }
                }
            }
        }
    }

    /// Counts the tokens for which there was room as cached, after a pass.
    pub fn advance(&mut self) {
        self.rows.iter_mut().for_each(|row| row.tokens += std::mem::take(&mut row.new));
    }

    /// The rows `indices`, some perhaps several times.
    pub fn select(&mut self, indices: &[usize]) {
        let mut uses = vec![0_usize; self.rows.len()];
        indices.iter().for_each(|&row| uses[row] += 1);
        let mut take = |row: usize| {
            uses[row] -= 1;
            if uses[row] == 0 { std::mem::take(&mut self.rows[row]) } else { self.rows[row].clone() }
        };
        let selected = indices.iter().map(|&row| take(row)).collect();
        let left = std::mem::replace(&mut self.rows, selected);
        self.spare.extend(left.into_iter().flat_map(|row| row.blocks).filter_map(Arc::into_inner));
    }

    /// Appends the rows of another cache of the same layers.
    pub fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.spare.extend(other.spare);
    }

    /// Removes the last tokens of a row.
    pub fn truncate(&mut self, row: usize, tokens: usize) {
        let row = &mut self.rows[row];
        row.tokens = row.tokens.saturating_sub(tokens);
        let left = row.blocks.drain(row.tokens.div_ceil(BLOCK)..);
        self.spare.extend(left.filter_map(Arc::into_inner));
    }

    /// Empties some rows.
    pub fn restart(&mut self, rows: Range<usize>) {
        let blocks = self.rows[rows].iter_mut().flat_map(|row| std::mem::take(row).blocks);
        self.spare.extend(blocks.filter_map(Arc::into_inner));
    }

    /// Writes the keys and values of the new tokens: the last columns of each row of `qkv[N, width]`.
    pub(crate) fn write<E: Real>(&mut self, layer: usize, qkv: &[E], width: usize) {
        let columns = self.columns;
        let mut tokens = qkv.chunks_exact(width);
        for row in &mut self.rows {
            for (place, token) in (row.tokens..row.tokens + row.new).zip(&mut tokens) {
                let block = row.blocks.get_mut(place / BLOCK).and_then(Arc::get_mut);
                let Some(block) = block else { unreachable!("a block without room") };
                let start = (layer * BLOCK + place % BLOCK) * columns;
                E::slice_mut(block)[start..start + columns].copy_from_slice(&token[width - columns..]);
            }
        }
    }

    /// The keys and values of a block of a row in one layer, new ones too: `[BLOCK, columns]`.
    pub(crate) fn block<E: Real>(&self, row: usize, layer: usize, block: usize) -> &[E] {
        let length = BLOCK * self.columns;
        &E::slice(&self.rows[row].blocks[block])[layer * length..][..length]
    }
}

/// Copies the first tokens of a block.
fn copy(from: &Buffer, to: &mut Buffer, (layers, columns): (usize, usize), tokens: usize) {
    let of = |layer: usize| layer * BLOCK * columns..layer * BLOCK * columns + tokens * columns;
    match (from, to) {
        (Buffer::F32(from), Buffer::F32(to)) => (0..layers).for_each(|l| to[of(l)].copy_from_slice(&from[of(l)])),
        (Buffer::F64(from), Buffer::F64(to)) => (0..layers).for_each(|l| to[of(l)].copy_from_slice(&from[of(l)])),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends one token, all of whose elements are the given number, to each row.
    fn push(cache: &mut KvCache, numbers: &[f64]) {
        cache.reserve(&vec![1; numbers.len()]);
        for layer in 0..2 {
            let kv: Vec<f64> = numbers.iter().flat_map(|&x| [x + layer as f64 / 10.0; 3]).collect();
            cache.write(layer, &kv, 3);
        }
        cache.advance();
    }

    fn row(cache: &KvCache, row: usize, layer: usize) -> Vec<f64> {
        let token = |i: usize| cache.block::<f64>(row, layer, i / BLOCK)[i % BLOCK * 3];
        (0..cache.lengths(row).0).map(token).collect()
    }

    #[test]
    fn rows_share_what_they_have_in_common_and_copy_what_they_change() {
        let mut cache = KvCache::new(DType::F64, 1, 2, 3);
        let mut expected: Vec<Vec<f64>> = vec![Vec::new()];
        for step in 0..100 {
            // The last row parts in two at times, and the first one ends.
            let rows = cache.rows();
            let indices: Vec<usize> = match step % 7 {
                1 | 3 | 6 => (0..rows).chain([rows - 1]).collect(),
                5 if rows > 2 => (1..rows).collect(),
                _ => (0..rows).collect(),
            };
            // What was cloned before goes its own way.
            let mut cloned = cache.clone();
            cache.select(&indices);
            let last = cloned.rows();
            push(&mut cloned, &vec![-1.0; last]);
            expected = indices.iter().map(|&i| expected[i].clone()).collect();
            let numbers: Vec<f64> = (0..indices.len()).map(|i| f64::from(100 * step) + i as f64).collect();
            push(&mut cache, &numbers);
            expected.iter_mut().zip(&numbers).for_each(|(row, &number)| row.push(number));
            for (i, expected) in expected.iter().enumerate() {
                assert_eq!(row(&cache, i, 0), *expected, "{step}");
                assert!(row(&cache, i, 1).iter().zip(expected).all(|(a, b)| a - b > 0.05));
            }
        }
        // What is removed and pushed again is as it was, and rows with the same blocks do not change.
        let last = cache.rows() - 1;
        let again: Vec<f64> = expected[last][60..].to_vec();
        let kept: Vec<usize> = (0..=last).chain([last]).collect();
        cache.select(&kept);
        cache.truncate(last + 1, again.len());
        for &number in &again {
            cache.reserve(&[vec![0; last + 1], vec![1]].concat());
            (0..2).for_each(|layer| cache.write(layer, &[number + layer as f64 / 10.0; 3], 3));
            cache.advance();
        }
        assert_eq!((row(&cache, last, 0), row(&cache, last + 1, 0)), (expected[last].clone(), expected[last].clone()));
        cache.select(&(0..=last).collect::<Vec<_>>());
        // Thirteen blocks a row, had they nothing in common.
        let mut blocks: Vec<*const Buffer> =
            cache.rows.iter().flat_map(|row| row.blocks.iter().map(Arc::as_ptr)).collect();
        let all = blocks.len();
        blocks.sort_unstable();
        blocks.dedup();
        assert!(cache.rows() > 5 && blocks.len() < all * 2 / 3, "{} of {all}", blocks.len());
        let spare = cache.spare.len();
        cache.select(&[]);
        assert_eq!(cache.spare.len() - spare, blocks.len());
    }
}
