//! The algorithm against a plain one, and its limits.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// Redis's default limit.
const LIMIT_BYTES: u64 = 512 * 1024 * 1024;

fn compute(a: &[u8], b: &[u8], wanted: Wanted, budget_cells: usize) -> Alignment {
    let (a, b) = (Bytes::copy_from_slice(a), Bytes::copy_from_slice(b));
    let mut lcs = Lcs::new(a, b, wanted, LIMIT_BYTES).expect("within the limit");
    while !lcs.step(budget_cells) {}
    lcs.finish()
}

/// Matches as in the reply to LCS IDX: first and last byte in `a`, then in `b`.
fn ranges(alignment: &Alignment, from: i64) -> Vec<[usize; 4]> {
    let last = |start: usize, found: &Match| start + found.length - 1;
    let range = |found: &Match| {
        let (a, b) = (found.a_start, found.b_start);
        [a, last(a, found), b, last(b, found)]
    };
    alignment.matches_from(from).map(range).collect()
}

/// By the table, as Redis does it: the length, the subsequence, and the ranges.
fn by_table(a: &[u8], b: &[u8]) -> (usize, Vec<u8>, Vec<[usize; 4]>) {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            table[i][j] = match a[i - 1] == b[j - 1] {
                true => table[i - 1][j - 1] + 1,
                false => table[i - 1][j].max(table[i][j - 1]),
            };
        }
    }
    let (mut i, mut j) = (a.len(), b.len());
    let (mut common, mut ranges) = (Vec::new(), Vec::<[usize; 4]>::new());
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            (i, j) = (i - 1, j - 1);
            common.insert(0, a[i]);
            match ranges.last_mut() {
                Some(range) if range[0] == i + 1 && range[2] == j + 1 => {
                    (range[0], range[2]) = (i, j);
                }
                _ => ranges.push([i, i, j, j]),
            }
        } else if table[i - 1][j] > table[i][j - 1] {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    (table[a.len()][b.len()], common, ranges)
}

#[test]
fn answers_are_those_of_redis() {
    let cases: [(&str, &str, &str, &[[usize; 4]]); 35] = [
        ("ohmytext", "mynewtext", "mytext", &[[4, 7, 5, 8], [2, 3, 0, 1]]),
        ("hiciggdciiiafhbii", "egbeaed", "gb", &[[14, 14, 2, 2], [5, 5, 1, 1]]),
        ("cdcdbdcdbbb", "dadbac", "ddbc", &[[6, 6, 5, 5], [3, 4, 2, 3], [1, 1, 0, 0]]),
        ("cdcda", "cdcdadb", "cdcda", &[[0, 4, 0, 4]]),
        ("adddbcd", "adddbcd", "adddbcd", &[[0, 6, 0, 6]]),
        (
            "addcabbabcda",
            "cacaaadccadca",
            "acaacda",
            &[
                [11, 11, 12, 12],
                [10, 10, 10, 10],
                [9, 9, 8, 8],
                [7, 7, 4, 4],
                [3, 4, 2, 3],
                [0, 0, 1, 1],
            ],
        ),
        (
            "fgjdbj",
            "gghbgbjfjhffdaibb",
            "gjdb",
            &[[4, 4, 15, 15], [3, 3, 12, 12], [2, 2, 8, 8], [1, 1, 4, 4]],
        ),
        (
            "cdbaddbaddcdcaaccadd",
            "aacba",
            "aaca",
            &[[17, 17, 4, 4], [16, 16, 2, 2], [13, 14, 0, 1]],
        ),
        ("abbca", "cbcadca", "bca", &[[3, 4, 5, 6], [2, 2, 1, 1]]),
        ("ccccaccccaacc", "cccaaac", "cccaaac", &[[12, 12, 6, 6], [9, 10, 4, 5], [1, 4, 0, 3]]),
        ("caccda", "cccccaaa", "ccca", &[[5, 5, 7, 7], [2, 3, 1, 2], [0, 0, 0, 0]]),
        ("cacc", "aaabccabbcbbb", "acc", &[[3, 3, 9, 9], [2, 2, 5, 5], [1, 1, 2, 2]]),
        ("bbbb", "baabbbabbab", "bbbb", &[[3, 3, 10, 10], [1, 2, 7, 8], [0, 0, 5, 5]]),
        ("abccacbc", "aaaa", "aa", &[[4, 4, 1, 1], [0, 0, 0, 0]]),
        ("babaaab", "babbaa", "babaa", &[[4, 5, 4, 5], [0, 2, 0, 2]]),
        ("acaccbcb", "acaccbbccbccb", "acaccbcb", &[[6, 7, 11, 12], [3, 5, 7, 9], [0, 2, 0, 2]]),
        ("aaaaaa", "aaaaaaaaaaa", "aaaaaa", &[[0, 5, 5, 10]]),
        (
            "caccaaccc",
            "cacbbcbbac",
            "caccac",
            &[[8, 8, 9, 9], [5, 5, 8, 8], [3, 3, 5, 5], [0, 2, 0, 2]],
        ),
        ("dgaicdd", "dgaiddi", "dgaidd", &[[5, 6, 4, 5], [0, 3, 0, 3]]),
        ("baaa", "baaab", "baaa", &[[0, 3, 0, 3]]),
        ("aaabbabaaa", "aabb", "aabb", &[[6, 6, 3, 3], [4, 4, 2, 2], [1, 2, 0, 1]]),
        ("accbacb", "accbacbcb", "accbacb", &[[5, 6, 7, 8], [0, 4, 0, 4]]),
        ("bbaaa", "abbaaaaa", "bbaaa", &[[2, 4, 5, 7], [0, 1, 1, 2]]),
        ("bdaab", "caddcbbbddaddcabcc", "bdaab", &[[3, 4, 14, 15], [1, 2, 9, 10], [0, 0, 7, 7]]),
        ("aaaaaaaaaaaaaaaa", "aaaaaaaaa", "aaaaaaaaa", &[[7, 15, 0, 8]]),
        ("ddacb", "daccbabcdaacdca", "dacb", &[[4, 4, 6, 6], [3, 3, 3, 3], [1, 2, 0, 1]]),
        ("bccaba", "cddadbc", "cab", &[[4, 4, 5, 5], [3, 3, 3, 3], [2, 2, 0, 0]]),
        ("dbaabb", "dbaabb", "dbaabb", &[[0, 5, 0, 5]]),
        ("bcaa", "bbbacaac", "bcaa", &[[1, 3, 4, 6], [0, 0, 2, 2]]),
        ("dibafecfejdjdecfaiei", "eafge", "eae", &[[18, 18, 4, 4], [16, 16, 1, 1], [13, 13, 0, 0]]),
        ("bbaaababa", "bbabbaaababa", "bbaaababa", &[[0, 8, 3, 11]]),
        (
            "gffdh",
            "dgfcfebbdbdeh",
            "gffdh",
            &[[4, 4, 12, 12], [3, 3, 10, 10], [2, 2, 4, 4], [0, 1, 1, 2]],
        ),
        ("aaabbbbaaaba", "abbabaaab", "abbbaaab", &[[6, 10, 4, 8], [4, 5, 1, 2], [2, 2, 0, 0]]),
        ("aaabbbaab", "aaabbbaab", "aaabbbaab", &[[0, 8, 0, 8]]),
        ("bbabbbb", "bbab", "bbab", &[[6, 6, 3, 3], [0, 2, 0, 2]]),
    ];
    for (a, b, common, expected) in cases {
        let found = compute(a.as_bytes(), b.as_bytes(), Wanted::Alignment, 1_000);
        assert_eq!(found.subsequence, common.as_bytes(), "{a} {b}");
        assert_eq!(found.length, common.len(), "{a} {b}");
        assert_eq!(ranges(&found, 0), expected, "{a} {b}");
    }
}

#[test]
fn short_matches_can_be_left_out() {
    let found = compute(b"ohmytext", b"mynewtext", Wanted::Alignment, 1_000);
    assert_eq!(ranges(&found, -1), [[4, 7, 5, 8], [2, 3, 0, 1]]);
    assert_eq!(ranges(&found, 3), [[4, 7, 5, 8]]);
    assert_eq!(ranges(&found, 5), [[0; 4]; 0]);
}

#[test]
fn empty_strings_have_nothing_in_common() {
    for (a, b) in [("", ""), ("a", ""), ("", "a"), ("a", "b")] {
        for wanted in [Wanted::Length, Wanted::Alignment] {
            let found = compute(a.as_bytes(), b.as_bytes(), wanted, 1);
            assert_eq!(found, Alignment::default());
        }
    }
}

#[test]
fn the_limit_is_on_the_table_of_redis() {
    let new = |a: usize, b: usize, limit_bytes| {
        let (a, b) = (Bytes::from(vec![b'a'; a]), Bytes::from(vec![b'a'; b]));
        Lcs::new(a, b, Wanted::Alignment, limit_bytes).err()
    };
    assert_eq!(new(511, 511, 1 << 20), None);
    assert_eq!(new(511, 512, 1 << 20), Some(LcsError::OverLimit));
    assert_eq!(new(0, 0, 4), None);
    assert_eq!(new(0, 0, 3), Some(LcsError::OverLimit));
}

#[test]
fn a_step_does_a_bounded_part() {
    let (a, b) = (vec![b'a'; 1_000], vec![b'a'; 640]);
    let count_steps = |wanted, budget_cells| {
        let (a, b) = (Bytes::copy_from_slice(&a), Bytes::copy_from_slice(&b));
        let mut lcs = Lcs::new(a, b, wanted, LIMIT_BYTES).expect("within the limit");
        (1_u32..).find(|_| lcs.step(budget_cells)).expect("an end")
    };
    // Bytes numbered, words cleared, bytes marked, words filled, steps back.
    let length: u32 = 1_000 + 10 + 640 + 10 * 1_000;
    assert_eq!(count_steps(Wanted::Length, 64), length);
    assert_eq!(count_steps(Wanted::Alignment, 64), length + 640);
    assert_eq!(count_steps(Wanted::Length, 6_400), length.div_ceil(100));
    assert_eq!(count_steps(Wanted::Length, usize::MAX), 1);
}

proptest! {
    #[test]
    fn rows_of_bits_answer_as_the_table_does(
        a in proptest::collection::vec(0_u8..4, 0..300),
        b in proptest::collection::vec(0_u8..4, 0..300),
        budget_cells in 1_usize..5_000,
    ) {
        let found = compute(&a, &b, Wanted::Alignment, budget_cells);
        let (length, common, expected) = by_table(&a, &b);
        prop_assert_eq!(found.length, length);
        prop_assert_eq!(&found.subsequence, &common);
        prop_assert_eq!(ranges(&found, 0), expected);
        let found = compute(&a, &b, Wanted::Length, budget_cells);
        prop_assert_eq!(found, Alignment { length, ..Alignment::default() });
    }
}
