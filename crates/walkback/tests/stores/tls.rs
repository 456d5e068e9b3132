//! What is said to a server is encrypted where `sslmode` wants it, and only to the server that it means.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use walkback::store::{Coordination, PostgresStore};
use walkback::testing::postgres::Server;

/// Somebody who signs certificates: theirs in a file, and what signs.
fn authority(file: &Path) -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    fs::write(file, params.self_signed(&key).unwrap().pem()).unwrap();
    Issuer::new(params, key)
}

/// Has the server speak TLS as `localhost`.
fn certify(server: &Server, by: &Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    let data = server.folder().join("data");
    let owner = fs::metadata(&data).unwrap();
    for (name, text) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
        let file = data.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    for setting in ["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"] {
        server.tell(setting).unwrap();
    }
}

#[tokio::test]
async fn tls_goes_as_far_as_sslmode_says() {
    let (server, folder) = (Server::start(&["fsync=off"]).unwrap(), tempfile::tempdir().unwrap());
    let [ours, others] = ["ours.pem", "others.pem"].map(|name| folder.path().join(name));
    certify(&server, &authority(&ours));
    authority(&others);
    let sessions = "SELECT count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE ssl AND application_name = 'walkback'";
    for (host, mode, roots, encrypted) in [
        ("127.0.0.1", "disable", None, Ok("f")),
        ("127.0.0.1", "prefer", None, Ok("t")),
        ("127.0.0.1", "require", None, Ok("t")),
        ("127.0.0.1", "require", Some(&others), Err("invalid peer certificate")),
        ("127.0.0.1", "verify-ca", Some(&ours), Ok("t")),
        ("127.0.0.1", "verify-ca", Some(&others), Err("invalid peer certificate")),
        ("localhost", "verify-full", Some(&ours), Ok("t")),
        ("localhost", "verify-full", Some(&others), Err("invalid peer certificate")),
        ("127.0.0.1", "verify-full", Some(&ours), Err("not valid for name")),
    ] {
        let roots = roots.map(|file| format!("&sslrootcert={}", file.display()));
        let url = server.url().replace("127.0.0.1", host);
        let url = format!("{url}?sslmode={mode}{}", roots.unwrap_or_default());
        let store = PostgresStore::new(&url).unwrap();
        let found = store.workers().await.map_err(|error| error.to_string());
        match encrypted {
            Ok(encrypted) => {
                assert_eq!(found.map(|workers| workers.len()), Ok(0), "{url}");
                assert_eq!(server.tell(sessions).unwrap().trim(), encrypted, "{url}");
            }
            Err(why) => {
                let said = found.map(drop).unwrap_err();
                assert!(said.contains(why), "{url}: {said}");
            }
        }
        drop(store);
        let gone = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
            WHERE application_name = 'walkback'";
        server.tell(gone).unwrap();
    }
}
