//! Steps about certificates, and about who may use the files of a process.

use std::os::unix::fs::PermissionsExt;

use cucumber::{given, then};

use crate::world::World;
use crate::world::authority::Authority;

#[given(regex = r#"^every process has the certificate "([^"]+)" of an authority that it trusts$"#)]
async fn certificate(world: &mut World, name: String) {
    let authority = Authority::new();
    authority.issue(&name);
    let settings = authority.settings(&name).map(|(key, value)| (key.to_owned(), value));
    world.settings.extend(settings);
    world.authority = Some(authority);
}

#[given(regex = r#"^(api|broker|edge|streams|ops) uses TLS(, and only for clients with such a certificate)?$"#)]
async fn tls(world: &mut World, listener: String, clients: String) {
    world.settings.insert(format!("EXORELAY__{}__TLS", listener.to_uppercase()), "true".into());
    if !clients.is_empty() {
        let authority = world.authority.as_ref().expect("there is an authority").path("ca.pem");
        world.settings.insert("EXORELAY__TLS__CLIENT_CA_FILE".into(), authority.display().to_string());
        world.settings.insert("EXORELAY__TLS__CLIENT_REQUIRED".into(), "true".into());
    }
}

#[given("processes from now on have no certificate")]
async fn no_certificate(world: &mut World) {
    world.settings.retain(|key, _| !key.contains("TLS__C") && !key.contains("TLS__KEY") || key.ends_with("CA_FILE"));
    world.settings.remove("EXORELAY__TLS__CLIENT_CA_FILE");
}

#[then(regex = r#"^the permissions of "([^"]+)" are (\d+)$"#)]
async fn permissions(world: &mut World, name: String, expected: String) {
    let found = world.file(&name).metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(format!("{found:04o}"), expected);
}

#[then(regex = r#"^there is no file "([^"]+)"$"#)]
async fn no_file(world: &mut World, name: String) {
    assert!(!world.file(&name).exists());
}
