//! The longest common subsequence of two byte strings, as LCS replies it.
//!
//! Redis 7.0 fills a table: cell (i, j) has the length of the longest common subsequence of the
//! first i bytes of `a` and the first j bytes of `b`. Then it walks from the last cell to an edge:
//! diagonally where the two bytes are equal, else up if the cell above has the larger number, else
//! left. Of all longest subsequences this chooses one, and so must we.
//!
//! Neighbours in a row differ by 0 or 1, so a row here is one bit a cell: 0 where the number grows,
//! 1 where it is that of the cell to the left. (Crochemore et al., "A fast and practical bit-vector
//! algorithm for the longest common subsequence problem", 2001.) Sixty-four cells come from one
//! addition, with its carry to the next word. The bits are all the walk needs: where the bytes
//! differ, a cell is the larger of the one above and the one to the left, so the one above is
//! larger exactly where the row grows. That takes less than a tenth of the memory of the table.
//!
//! The work comes in pieces (see [`Lcs::step`]), so that a worker can serve others in between.

#[cfg(test)]
mod tests;

use bytes::Bytes;

/// Cells that one word of a row holds.
const CELLS_PER_WORD: usize = u64::BITS as usize;

/// Bytes of one cell in Redis's table, which its limit counts.
const TABLE_CELL_BYTES: u64 = size_of::<u32>() as u64;

/// Length from which on Redis refuses a string, as its table holds 32-bit numbers.
const STRING_BYTES_MAX: usize = u32::MAX as usize - 1;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LcsError {
    /// "ERR String too long for LCS".
    TooLong,
    /// "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len".
    OverLimit,
    /// "ERR Insufficient memory, failed allocating transient memory for LCS".
    NoMemory,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Only the length, for which one row is enough.
    Length,
    /// The subsequence and where it lies.
    Alignment,
}

/// A stretch of bytes that both strings have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// Where it begins in `a`.
    pub(super) a_start: usize,
    /// Where it begins in `b`.
    pub(super) b_start: usize,
    /// Its bytes, one at least.
    pub(super) length: usize,
}

/// The answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Alignment {
    /// The length of the subsequence.
    pub(super) length: usize,
    /// The subsequence; empty when only the length is wanted.
    pub(super) subsequence: Vec<u8>,
    /// The stretches it consists of, the last one first; none when only the length is wanted.
    pub(super) matches: Vec<Match>,
}

impl Alignment {
    /// The matches of at least `length` bytes (MINMATCHLEN; 0 or less means all).
    pub(super) fn matches_from(&self, length: i64) -> impl Iterator<Item = &Match> + Clone {
        let length = usize::try_from(length).unwrap_or(0);
        self.matches.iter().filter(move |found| found.length >= length)
    }
}

/// The computation.
pub(super) struct Lcs {
    a: Bytes,
    b: Bytes,
    wanted: Wanted,
    /// Words of a row; the cells beyond `b` in the last one stay 1.
    words: usize,
    /// For each byte that `a` has, the number of its mask.
    mask_of: [Option<u8>; 256],
    /// How many masks there are.
    mask_count: usize,
    /// One after the other, of `words` words each: for each byte of `a`, 1 where `b` has it.
    masks: Vec<u64>,
    /// The rows after the empty one, of `words` words each; only the latest for the length alone.
    rows: Vec<u64>,
    stage: Stage,
    answer: Alignment,
}

/// What is to be done next. The stages follow each other in this order.
enum Stage {
    /// Number the bytes of `a`, the one at this index next.
    Number(usize),
    /// Make the masks, all 0.
    Clear,
    /// Mark the bytes of `b` in the masks, the one at this index next.
    Mark(usize),
    /// Fill the rows, this word next.
    Fill { row: usize, word: usize, carry: bool },
    /// Walk back; so many bytes of either string are left.
    Walk { a_left: usize, b_left: usize },
    /// The answer is there.
    Done,
}

impl Lcs {
    /// Begins. `limit_bytes` bounds the memory that Redis would take for its table
    /// (`proto-max-bulk-len`); ours is less.
    pub(super) fn new(
        a: Bytes,
        b: Bytes,
        wanted: Wanted,
        limit_bytes: u64,
    ) -> Result<Lcs, LcsError> {
        if a.len() >= STRING_BYTES_MAX || b.len() >= STRING_BYTES_MAX {
            return Err(LcsError::TooLong);
        }
        let cells = (a.len() as u64 + 1) * (b.len() as u64 + 1);
        let table_bytes = cells.checked_mul(TABLE_CELL_BYTES).ok_or(LcsError::NoMemory)?;
        if table_bytes > limit_bytes {
            return Err(LcsError::OverLimit);
        }
        let words = b.len().div_ceil(CELLS_PER_WORD);
        let rows_kept = if wanted == Wanted::Length { a.len().min(1) } else { a.len() };
        let (mut masks, mut rows) = (Vec::new(), Vec::new());
        reserve(&mut masks, words, a.len().min(256))?;
        reserve(&mut rows, words, rows_kept)?;
        let mask_of = [None; 256];
        let (stage, answer) = (Stage::Number(0), Alignment::default());
        Ok(Lcs { a, b, wanted, words, mask_of, mask_count: 0, masks, rows, stage, answer })
    }

    /// Goes on for about as long as filling `budget_cells` cells takes: 64 of them are one word,
    /// and so counts a byte read or a step back. Returns whether the answer is there.
    pub(super) fn step(&mut self, budget_cells: usize) -> bool {
        let mut left = budget_cells.div_ceil(CELLS_PER_WORD).max(1);
        loop {
            // Each stage does some of what is left, or ends.
            left -= match self.stage {
                Stage::Number(next) => self.number(next, left),
                Stage::Clear => self.clear(left),
                Stage::Mark(next) => self.mark(next, left),
                Stage::Fill { row, word, carry } => self.fill(row, word, carry, left),
                Stage::Walk { a_left, b_left } => self.walk(a_left, b_left, left),
                Stage::Done => return true,
            };
            if left == 0 {
                return matches!(self.stage, Stage::Done);
            }
        }
    }

    /// The answer, once [`Lcs::step`] has said that it is there.
    pub(super) fn finish(self) -> Alignment {
        debug_assert!(matches!(self.stage, Stage::Done), "the answer is not there yet");
        self.answer
    }

    fn number(&mut self, start: usize, left: usize) -> usize {
        let end = self.a.len().min(start.saturating_add(left));
        for &byte in &self.a[start..end] {
            let mask = &mut self.mask_of[usize::from(byte)];
            if mask.is_none() {
                *mask = Some(self.mask_count as u8);
                self.mask_count += 1;
            }
        }
        self.stage = if end == self.a.len() { Stage::Clear } else { Stage::Number(end) };
        end - start
    }

    fn clear(&mut self, left: usize) -> usize {
        let total = self.words * self.mask_count;
        let count = left.min(total - self.masks.len());
        // Within what has been reserved, since there are at most `min(a, 256)` masks.
        self.masks.resize(self.masks.len() + count, 0);
        if total == 0 {
            // One of the strings is empty.
            self.stage = Stage::Done;
        } else if self.masks.len() == total {
            self.stage = Stage::Mark(0);
        }
        count
    }

    fn mark(&mut self, start: usize, left: usize) -> usize {
        let end = self.b.len().min(start.saturating_add(left));
        for (offset, &byte) in self.b[start..end].iter().enumerate() {
            let index = start + offset;
            if let Some(mask) = self.mask_of[usize::from(byte)] {
                let word = usize::from(mask) * self.words + index / CELLS_PER_WORD;
                self.masks[word] |= 1 << (index % CELLS_PER_WORD);
            }
        }
        self.stage = match end == self.b.len() {
            true => Stage::Fill { row: 0, word: 0, carry: false },
            false => Stage::Mark(end),
        };
        end - start
    }

    /// Fills words of one row.
    fn fill(&mut self, row: usize, word: usize, mut carry: bool, left: usize) -> usize {
        let end = self.words.min(word.saturating_add(left));
        let mask = self.mask_of[usize::from(self.a[row])].map_or(0, usize::from) * self.words;
        let at = if self.wanted == Wanted::Length { 0 } else { row * self.words };
        for index in word..end {
            let mask = self.masks[mask + index];
            // Alone, the only row is its own predecessor.
            let above = match row {
                0 => u64::MAX,
                _ => self.rows[at.saturating_sub(self.words) + index],
            };
            let (sum, overflow) = add_with_carry(above, above & mask, carry);
            let filled = sum | (above & !mask);
            carry = overflow;
            match self.rows.get_mut(at + index) {
                Some(place) => *place = filled,
                None => self.rows.push(filled),
            }
        }
        self.stage = if end < self.words {
            Stage::Fill { row, word: end, carry }
        } else if row + 1 < self.a.len() {
            Stage::Fill { row: row + 1, word: 0, carry: false }
        } else {
            self.end_of_rows(at)
        };
        end - word
    }

    /// Notes the length, which is how often the last row grows; it begins at word `last_row`.
    fn end_of_rows(&mut self, last_row: usize) -> Stage {
        let grows = self.rows[last_row..].iter().map(|word| word.count_zeros() as usize);
        self.answer.length = grows.sum();
        match self.wanted {
            Wanted::Length => Stage::Done,
            Wanted::Alignment => {
                // No longer than the shorter string, so small: the limit is on their product.
                self.answer.subsequence = Vec::with_capacity(self.answer.length);
                Stage::Walk { a_left: self.a.len(), b_left: self.b.len() }
            }
        }
    }

    /// Walks back, and collects the common bytes in reverse.
    fn walk(&mut self, mut a_left: usize, mut b_left: usize, left: usize) -> usize {
        let mut steps = 0;
        while steps < left && a_left > 0 && b_left > 0 {
            steps += 1;
            let (row, column) = (a_left - 1, b_left - 1);
            if self.a[row] == self.b[column] {
                self.collect(row, column);
                (a_left, b_left) = (row, column);
                continue;
            }
            let word = self.rows[row * self.words + column / CELLS_PER_WORD];
            let grows = word >> (column % CELLS_PER_WORD) & 1 == 0;
            if grows {
                a_left -= 1;
            } else {
                b_left -= 1;
            }
        }
        let at_edge = a_left == 0 || b_left == 0;
        if at_edge {
            self.answer.subsequence.reverse();
        }
        self.stage = if at_edge { Stage::Done } else { Stage::Walk { a_left, b_left } };
        steps
    }

    /// Takes the common byte `a[row]` = `b[column]`, which comes before those taken so far.
    fn collect(&mut self, row: usize, column: usize) {
        self.answer.subsequence.push(self.a[row]);
        match self.answer.matches.last_mut() {
            Some(after) if (after.a_start, after.b_start) == (row + 1, column + 1) => {
                *after = Match { a_start: row, b_start: column, length: after.length + 1 };
            }
            _ => self.answer.matches.push(Match { a_start: row, b_start: column, length: 1 }),
        }
    }
}

/// Reserves room for `count` rows of `words` words.
fn reserve(into: &mut Vec<u64>, words: usize, count: usize) -> Result<(), LcsError> {
    let total = words.checked_mul(count).ok_or(LcsError::NoMemory)?;
    into.try_reserve_exact(total).map_err(|_| LcsError::NoMemory)
}

/// The sum of two words and a carry, and whether it overflows.
fn add_with_carry(augend: u64, addend: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = augend.overflowing_add(addend);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first || second)
}
