use super::*;

fn request() -> Head {
    let mut head = Head::default();
    head.start_request(b"GET", b"/a?b", Version::Http11);
    head.add(b"Host", b"a.test");
    head.add(b"X-One", b"1, 2");
    head.add(b"Accept", b"*/*");
    head.add(b"x-one", b"3");
    head
}

fn written(head: &Head) -> String {
    let mut out = Vec::new();
    head.write_fields(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn fields_are_found_in_any_case_and_order_is_kept() {
    let head = request();
    assert_eq!(head.first(b"X-ONE"), Some(&b"1, 2"[..]));
    assert_eq!(head.last(b"x-one"), Some(&b"3"[..]));
    assert_eq!(
        head.elements(b"X-One").collect::<Vec<_>>(),
        [b"1", b"2", b"3"]
    );
    assert_eq!(
        written(&head),
        "host: a.test\r\nx-one: 1, 2\r\naccept: */*\r\nx-one: 3\r\n"
    );
}

#[test]
fn set_removes_all_and_appends_one() {
    let mut head = request();
    head.set(b"X-One", b"new");
    assert_eq!(
        written(&head),
        "host: a.test\r\naccept: */*\r\nx-one: new\r\n"
    );
    assert_eq!(head.remove(b"absent"), 0);
}

#[test]
fn values_are_rewritten_in_place() {
    let mut head = request();
    let mut scratch = Vec::new();
    head.rewrite_values(b"x-one", &mut scratch, |old, new| {
        new.extend_from_slice(old);
        new.push(b'!');
        old != b"3"
    });
    assert_eq!(
        written(&head),
        "host: a.test\r\nx-one: 1, 2!\r\naccept: */*\r\nx-one: 3\r\n"
    );
}

#[test]
fn the_start_line_can_be_edited() {
    let mut head = request();
    head.set_method(b"PURGE");
    head.set_target(b"/new");
    assert_eq!(
        (head.method(), head.method_name()),
        (Method::Other, &b"PURGE"[..])
    );
    assert_eq!(head.target(), b"/new");
    head.start_response(200, b"OK", Version::Http10);
    head.set_status(404, b"Gone");
    assert_eq!(
        (head.status(), head.reason(), head.len()),
        (404, &b"Gone"[..], 0)
    );
}

#[test]
fn tokens_are_found_across_fields() {
    let mut head = request();
    head.add(b"Connection", b"close");
    head.add(b"Connection", b"foo, Upgrade");
    assert!(head.has_token(b"connection", b"upgrade"));
    assert!(!head.has_token(b"connection", b"up"));
}
