use super::*;

fn flags(line: &str) -> Result<Flags, UsageError> {
    parse(
        &line
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    )
}

#[test]
fn files_come_from_f_and_from_the_double_dash() {
    let flags = flags("-f a.cfg -c -- b.cfg -c").unwrap();
    assert_eq!(flags.files, ["a.cfg", "b.cfg", "-c"].map(PathBuf::from));
    assert!(flags.check);
}

#[test]
fn pids_end_at_the_next_option() {
    let flags = flags("-sf 12 13 -D -st").unwrap();
    assert_eq!(
        (flags.finish, flags.terminate, flags.daemon),
        (vec![12, 13], vec![], true)
    );
}

#[test]
fn the_harness_flags_are_accepted() {
    let flags = flags("-d -dM -dI -dW -f x").unwrap();
    assert!(flags.debug && flags.zero_warning);
}

#[test]
fn keyword_classes_are_glued_to_the_flag() {
    assert_eq!(
        flags("-dKall -q").unwrap().dump_keywords.as_deref(),
        Some("all")
    );
}

#[test]
fn wrong_words_are_errors() {
    assert_eq!(flags("-zz"), Err(UsageError::Unknown("-zz".into())));
    assert_eq!(
        flags("-f"),
        Err(UsageError::MissingValue(
            "-f".into(),
            "a file or a directory"
        ))
    );
    assert!(matches!(flags("-n many"), Err(UsageError::BadValue(..))));
    assert!(matches!(flags("-dL"), Err(UsageError::Unsupported(..))));
}

#[test]
fn no_earlier_row_hides_a_later_one() {
    for (index, row) in ROWS.iter().enumerate() {
        assert!(
            ROWS[..index].iter().all(|earlier| earlier.name != row.name),
            "{}",
            row.name
        );
    }
}
