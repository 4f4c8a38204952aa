//! Files and folders for their owner alone: signing keys and everyone's data are in them. They are created so, whatever the umask
//! is.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The rights of everyone but the owner.
const OTHERS: u32 = 0o077;

/// Returns options that open a file for writing, and create it if it is missing.
pub(super) fn writing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(FILE_MODE);
    options
}

/// Writes a new file, or replaces the content of one. Errors: the operating system's.
pub(super) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<File> {
    let mut file = writing().truncate(true).open(path)?;
    file.write_all(bytes.as_ref())?;
    Ok(file)
}

/// Creates a file that does not exist. Errors: the operating system's.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    writing().create_new(true).open(path)
}

/// Creates a folder, and those above it that are missing. The name of each is synced in the folder above it.
/// Errors: the operating system's.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let mut folder = DirBuilder::new();
    folder.mode(FOLDER_MODE);
    let above = path.parent().unwrap_or(path);
    match folder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && above != path => {
            create_folder(above)?;
            folder.create(path)?;
        }
        Err(_) if path.is_dir() => return Ok(()),
        created => created?,
    }
    sync_names(if above.as_os_str().is_empty() { Path::new(".") } else { above })
}

/// Syncs the names in a folder. One that may be written and not be read cannot be synced, and need not be ours.
fn sync_names(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Takes a folder of ours from everyone but its owner: versions before left it to the umask, and what is in it may be open to
/// others, too. Errors: the operating system's.
pub(super) fn narrow(folder: &Path) -> io::Result<()> {
    match fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(found) if found.permissions().mode() & OTHERS == 0 => Ok(()),
        found => found.and_then(|_| fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE))),
    }
}

/// Warns if others may enter a folder that its user has created.
pub(super) fn warn_if_open(folder: &Path) {
    let mode = fs::metadata(folder).map_or(0, |found| found.permissions().mode());
    if mode & OTHERS != 0 {
        tracing::warn!(
            dir = %folder.display(),
            mode = format_args!("{:04o}", mode & 0o7777),
            "the data folder is open to other users of this machine; to change that: chmod -R go= {}",
            folder.display(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn each_new_folder_and_file_is_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let (above, folder) = (dir.path().join("a/b"), dir.path().join("a/b/c"));
        create_folder(&folder).unwrap();
        create_folder(&folder).unwrap();
        assert_eq!([dir.path(), &above, &folder].map(mode), [0o755, 0o700, 0o700]);
        let (file, other) = (folder.join("file"), folder.join("other"));
        drop(write(&file, "long content").unwrap());
        drop(write(&file, "short").unwrap());
        drop(create_new(&other).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), "short");
        assert_eq!([&file, &other].map(|path| mode(path)), [0o600, 0o600]);
        assert_eq!(create_new(&other).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(create_folder(&file.join("below")).is_err() && create_folder(&file).is_err());
    }

    #[test]
    fn a_folder_of_an_earlier_version_is_taken_from_others() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o775)).unwrap();
        narrow(dir.path()).unwrap();
        narrow(&dir.path().join("missing")).unwrap();
        assert_eq!(mode(dir.path()), 0o700);
    }
}
