use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

/// The class the kernel would find, by the layout's own rules.
fn class_in(rows: &[[u64; 8]], address: Ipv4Addr) -> Class {
    let [a, b, c, d] = address.octets();
    let cell = |first: u32, number: u32| {
        let words = rows[(first + number / CELLS_PER_ROW as u32) as usize];
        let number = number as usize % CELLS_PER_ROW;
        Cell::from_bits((words[number / 2] >> (number % 2 * 32)) as u32)
    };
    if rows.len() == 1 {
        return Class(0);
    }
    let mut found = cell(0, u32::from(u16::from_be_bytes([a, b])));
    if let Cell::Node(node) = found {
        found = cell(node, u32::from(c));
    }
    match found {
        Cell::Class(class) => class,
        Cell::Node(_) => panic!("a node within a node"),
        Cell::Pair(row) => {
            let words = rows[row as usize];
            let chosen = words[usize::from(d) / 64] >> (d % 64) & 1;
            Class((words[4] >> (chosen * 16)) as u16)
        }
        Cell::Full(first) => {
            let words = rows[first as usize + usize::from(d) / 32];
            Class((words[usize::from(d) / 4 % 8] >> (d % 4 * 16)) as u16)
        }
    }
}

fn rows(prefixes: &[(Ipv4Net, Class)]) -> Vec<[u64; 8]> {
    let mut rows = vec![[0; 8]; rows4(prefixes) as usize];
    lay_out4(prefixes, &mut |row, words| rows[row as usize] = words);
    rows
}

fn sorted(mut prefixes: Vec<(Ipv4Net, Class)>) -> Vec<(Ipv4Net, Class)> {
    prefixes.sort_by_key(|(prefix, _)| (prefix.network(), prefix.prefix_len()));
    prefixes.dedup_by_key(|(prefix, _)| *prefix);
    prefixes
}

fn prefix() -> impl Strategy<Value = (Ipv4Net, Class)> {
    let address = (0_u32..3, 0_u32..2, 0_u32..2, any::<u8>());
    (address, 0_u8..=32, 0_u16..4).prop_map(|((a, b, c, d), length, class)| {
        let address = Ipv4Addr::from(a << 30 | b << 16 | c << 8 | u32::from(d));
        (Ipv4Net::new_assert(address, length).trunc(), Class(class))
    })
}

proptest! {
    #[test]
    fn laid_out_table_finds_the_longest_prefix(
        prefixes in proptest::collection::vec(prefix(), 0..40),
        others in proptest::collection::vec(any::<u32>(), 20),
    ) {
        let prefixes = sorted(prefixes);
        let rows = rows(&prefixes);
        let edges = prefixes.iter().flat_map(|(prefix, _)| {
            let (first, last) = (u32::from(prefix.network()), u32::from(prefix.broadcast()));
            [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
        });
        for address in edges.chain(others).map(Ipv4Addr::from) {
            let covering = prefixes.iter().filter(|(prefix, _)| prefix.contains(&address));
            let wanted = covering.max_by_key(|(prefix, _)| prefix.prefix_len()).map_or(Class(0), |(_, class)| *class);
            prop_assert_eq!(class_in(&rows, address), wanted, "{}", address);
        }
    }
}

#[test]
fn empty_lists_cost_one_row() {
    assert_eq!(rows4(&[]), 1);
    let all = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);
    assert_eq!(rows4(&[(all, Class(0))]), 1);
    assert_eq!(rows4(&[(all, Class(3))]), ROOT_ROWS);
}

#[test]
fn hosts_of_one_class_in_a_network_share_one_row() {
    let host = |last| {
        (
            Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, last), 32),
            Class(1),
        )
    };
    let prefixes: Vec<_> = (0..100).map(|n| host(n * 2)).collect();
    assert_eq!(rows4(&prefixes), ROOT_ROWS + NODE_ROWS + 1);
}

#[test]
fn lengths_are_stored_longest_first_or_all_go_to_the_trie() {
    assert_eq!(
        in_use(&[128, 64, 0]).word().to_ne_bytes(),
        [129, 65, 1, 0, 0, 0, 0, 0]
    );
    assert_eq!(
        in_use(&[9, 8, 7, 6, 5, 4, 3, 2, 1]).word().to_ne_bytes()[0],
        ALWAYS_TRIE
    );
}
