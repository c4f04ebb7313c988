use super::*;

const NOW: UnixTime = UnixTime(1_800_000_000);

fn url(url: &str) -> Url {
    Url::parse(url).unwrap()
}

fn learnt(list: &[(&str, &str)]) -> Store {
    let mut store = Store::new();
    for (from, value) in list {
        store.note(NOW, &url(from), [value.as_bytes()]);
    }
    store
}

fn upgraded(store: &Store, from: &str) -> String {
    let mut url = url(from);
    let changed = store.upgrade(NOW, &mut url);
    assert_eq!(changed, url.as_str() != self::url(from).as_str());
    url.to_string()
}

#[test]
fn rfc6797_8_1_a_field_counts_over_tls_only() {
    assert!(learnt(&[("http://a.example/", "max-age=1")]).is_empty());
    assert!(learnt(&[("ws://a.example/", "max-age=1")]).is_empty());
    assert_eq!(learnt(&[("https://a.example/", "max-age=1")]).len(), 1);
    assert_eq!(learnt(&[("wss://a.example/", "max-age=1")]).len(), 1);
}

#[test]
fn rfc6797_8_1_of_several_fields_the_first_counts() {
    let mut store = Store::new();
    store.note(NOW, &url("https://a.example"), [&b"nonsense"[..], b"max-age=1"]);
    assert!(store.is_empty());
    store.note(NOW, &url("https://a.example"), [&b"max-age=5"[..], b"max-age=0"]);
    assert!(store.covers(UnixTime(NOW.0 + 4), "a.example"));
}

#[test]
fn rfc6797_8_1_1_an_address_is_not_noted() {
    assert!(learnt(&[("https://192.0.2.1/", "max-age=1"), ("https://[::1]/", "max-age=1")]).is_empty());
    assert_eq!(upgraded(&learnt(&[]), "http://192.0.2.1/"), "http://192.0.2.1/");
}

#[test]
fn rfc6797_6_1_1_max_age_zero_forgets() {
    let mut store = learnt(&[("https://a.example", "max-age=100; includeSubDomains")]);
    assert!(store.covers(NOW, "a.example"));
    store.note(NOW, &url("https://a.example"), [&b"max-age=0"[..]]);
    assert!(!store.covers(NOW, "a.example") && store.is_empty());
    // The superdomain's wish is not the subdomain's to undo.
    let mut store = learnt(&[("https://a.example", "max-age=100; includeSubDomains")]);
    store.note(NOW, &url("https://x.a.example"), [&b"max-age=0"[..]]);
    assert!(store.covers(NOW, "x.a.example"));
}

#[test]
fn rfc6797_8_2_subdomains_only_where_they_are_included() {
    let store = learnt(&[("https://a.example", "max-age=9"), ("https://b.example", "max-age=9; includeSubDomains")]);
    assert!(store.covers(NOW, "a.example") && store.covers(NOW, "A.Example."));
    assert!(!store.covers(NOW, "x.a.example"));
    assert!(store.covers(NOW, "b.example") && store.covers(NOW, "x.b.example") && store.covers(NOW, "y.x.b.example"));
    assert!(!store.covers(NOW, "xb.example") && !store.covers(NOW, "example"));
    // An entry of its own without subdomains does not take the wider one away.
    let store = learnt(&[("https://b.example", "max-age=9; includeSubDomains"), ("https://x.b.example", "max-age=9")]);
    assert!(store.covers(NOW, "y.x.b.example"));
}

#[test]
fn rfc6797_8_2_a_host_whose_time_is_up_is_not_known() {
    let store = learnt(&[("https://a.example", "max-age=9")]);
    assert!(store.covers(UnixTime(NOW.0 + 8), "a.example"));
    assert!(!store.covers(UnixTime(NOW.0 + 9), "a.example"));
}

#[test]
fn rfc6797_8_3_port_80_becomes_443_and_others_stay() {
    let store = learnt(&[("https://a.example", "max-age=9")]);
    assert_eq!(upgraded(&store, "http://a.example/x?y#z"), "https://a.example/x?y#z");
    assert_eq!(upgraded(&store, "http://a.example:80/"), "https://a.example/");
    assert_eq!(upgraded(&store, "http://a.example:8080/"), "https://a.example:8080/");
    assert_eq!(upgraded(&store, "ws://a.example/"), "wss://a.example/");
    assert_eq!(upgraded(&store, "https://a.example/"), "https://a.example/");
    assert_eq!(upgraded(&store, "http://b.example/"), "http://b.example/");
}

#[test]
fn the_number_of_hosts_is_bounded_and_the_shortest_lived_makes_room() {
    let mut store = Store::new().with_max_hosts(2);
    for (host, age) in [("a", 30), ("b", 10), ("c", 20)] {
        store.note(NOW, &url(&format!("https://{host}")), [format!("max-age={age}").as_bytes()]);
    }
    assert_eq!(["a", "b", "c"].map(|host| store.covers(NOW, host)), [true, false, true]);
    let later = UnixTime(NOW.0 + 25);
    store.note(later, &url("https://d"), [&b"max-age=1"[..]]);
    assert_eq!(["a", "c", "d"].map(|host| store.covers(later, host)), [true, false, true]);
}

#[test]
fn a_store_is_written_and_read_back() {
    let store = learnt(&[
        ("https://a.example", "max-age=31536000"),
        ("https://b.example", "max-age=99999999999; includeSubDomains"),
        ("https://b\u{fc}cher.example", "max-age=1"),
    ]);
    let text = store.to_string();
    assert!(text.contains("\na.example \"20280115 08:00:00\"\n"), "{text}");
    assert!(text.contains("\nxn--bcher-kva.example "), "{text}");
    assert_eq!(Store::parse(&text), Ok(store));
}

#[test]
fn time_is_counted_from_the_origin_of_the_machines_clock() {
    assert_eq!(UnixTime(10).at(Instant::from_millis(2_999)), UnixTime(12));
    assert_eq!(UnixTime(u64::MAX).at(Instant::MAX), UnixTime(u64::MAX));
}
