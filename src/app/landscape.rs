//! Reads a landscape from a `landscape.toml`, JSON of any era, or an application's `application.yml`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Error;
use crate::broker::{self, Application, Landscape};

/// Maximum file size.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The file names of an application.
const APPLICATION_FILE: &str = "application.yml";
const SERVICE_FILE: &str = "service.yml";

/// Reads the landscape at `path`: a `.toml` or `.json` file, an `application.yml` (`.yml` or `.yaml`, together with the
/// `service.yml` of each service), or a folder with an `application.yml`. Each file may have up to 16 MiB. Blocks on the
/// file system.
///
/// Errors: [`Error::LandscapeFile`] and [`Error::Landscape`], which name the file, and
/// [`Error::LandscapeKind`].
pub fn read(path: &Path) -> Result<Landscape, Error> {
    if std::fs::metadata(path).map_err(unreadable(path))?.is_dir() {
        return read_application(&path.join(APPLICATION_FILE));
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Landscape::from_toml(&read_text(path)?).map_err(unusable(path)),
        Some("json") => Landscape::from_json(&read_text(path)?.into()).map_err(unusable(path)),
        Some("yml" | "yaml") => read_application(path),
        Some(_) | None => Err(Error::LandscapeKind { path: path.into() }),
    }
}

/// Returns the path of the application file in `folder`, whether it exists or not.
pub fn application_in(folder: &Path) -> PathBuf {
    folder.join(APPLICATION_FILE)
}

fn read_application(path: &Path) -> Result<Landscape, Error> {
    let application = Application::from_yaml(&read_text(path)?).map_err(unusable(path))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut roles = Vec::with_capacity(application.parts.len());
    for part in &application.parts {
        // Collecting the components removes `.` from the middle of the path, for error messages.
        let file: PathBuf = folder.join(&part.location).join(SERVICE_FILE).components().collect();
        roles.push(part.routes(&read_text(&file)?).map_err(unusable(&file))?);
    }
    Landscape::of_application(roles).map_err(unusable(path))
}

fn read_text(path: &Path) -> Result<String, Error> {
    // Opening a pipe may block, and a device may never end.
    if !std::fs::metadata(path).map_err(unreadable(path))?.is_file() {
        return Err(unreadable(path)(io::Error::other("it is not a file")));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable(path))?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable(path))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let cause = io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes"));
        return Err(unreadable(path)(cause));
    }
    Ok(text)
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Error {
    move |cause| Error::LandscapeFile { path: path.into(), cause }
}

fn unusable(path: &Path) -> impl Fn(broker::Error) -> Error {
    move |cause| Error::Landscape { path: path.into(), cause }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const LANDSCAPE: &str = "[services.web]\nsends = [\"users.create\"]\n";

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn check(files: &[(&str, &str)], path: &str, roles: &[&str]) {
        let folder = folder(files);
        let landscape = read(&folder.path().join(path)).unwrap();
        let found: Vec<_> = landscape.roles.iter().map(|routes| routes.role.as_str()).collect();
        assert_eq!(found, roles, "{path}");
    }

    fn check_refused(files: &[(&str, &str)], path: &str, expected: &str) {
        let folder = folder(files);
        let error = crate::chain::chain(&read(&folder.path().join(path)).unwrap_err());
        let error = error.replace(&format!("{}/", folder.path().display()), "");
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn the_extension_selects_the_format() {
        check(&[("a.toml", LANDSCAPE)], "a.toml", &["web"]);
        check(&[("a.json", r#"{"web":{}}"#)], "a.json", &["web"]);
        check_refused(&[("a.txt", LANDSCAPE)], "a.txt", "unknown type of landscape a.txt: expected");
        check_refused(&[("a", LANDSCAPE)], "a", "unknown type of landscape a: expected");
    }

    #[test]
    fn an_application_is_read_with_the_files_of_its_services() {
        let files = [
            ("x/application.yml", "services: { web: { location: ./web }, users: { location: ../users } }"),
            ("x/web/service.yml", "messages: { sends: [users.create] }"),
            ("users/service.yml", "messages: { receives: [users.create] }"),
        ];
        for path in ["x", "x/application.yml"] {
            check(&files, path, &["users", "web"]);
        }
    }

    #[test]
    fn errors_name_the_file() {
        let application = ("application.yml", "services: { web: { location: ./web } }");
        check_refused(&[], "a.toml", "cannot read the landscape a.toml: ");
        check_refused(&[("x/y", "")], "x", "cannot read the landscape x/application.yml: ");
        check_refused(&[application], "application.yml", "cannot read the landscape web/service.yml: ");
        check_refused(
            &[application, ("web/service.yml", "messages: { sends: 5 }")],
            "application.yml",
            "the landscape web/service.yml is not usable: role \"web\": \"messages\": \"sends\" must be an array",
        );
        check_refused(
            &[("application.yml", "name: x")],
            "application.yml",
            "the landscape application.yml is not usable: \"services\" must be",
        );
        check_refused(&[("a.json", "[5]")], "a.json", "the landscape a.json is not usable: service 0: ");
    }

    #[test]
    fn devices_and_long_files_are_refused() {
        let error = crate::chain::chain(&read_text(Path::new("/dev/zero")).unwrap_err());
        assert_eq!(error, "cannot read the landscape /dev/zero: it is not a file");
        let folder = folder(&[("a.toml", "")]);
        let path = folder.path().join("a.toml");
        File::options().write(true).open(&path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        let error = crate::chain::chain(&read(&path).unwrap_err());
        assert!(error.ends_with("a.toml: it is longer than 16777216 bytes"), "{error}");
        File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
        assert!(!crate::chain::chain(&read(&path).unwrap_err()).contains("longer"));
    }
}
