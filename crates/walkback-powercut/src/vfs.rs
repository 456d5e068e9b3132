//! SQLite's file layer with a memory: every call goes on to the system's own, and writes, cuts, syncs
//! and removals are remembered.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::OnceLock;

use rusqlite::ffi;

use crate::trace::{Op, is_remembering, remember};

/// The system's own layer, and the methods of our files.
struct Below {
    vfs: *mut ffi::sqlite3_vfs,
    methods: ffi::sqlite3_io_methods,
}

// SAFETY: the layer is SQLite's own, which any thread may call; the methods are never written again.
unsafe impl Send for Below {}
// SAFETY: as above.
unsafe impl Sync for Below {}

static BELOW: OnceLock<Below> = OnceLock::new();

/// A file: ours in front, the system's own behind it, in memory that SQLite gives us.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// A `Box<PathBuf>`, or null for a file without a name.
    path: *mut PathBuf,
}

impl File {
    /// The system's own file behind ours.
    ///
    /// # Safety
    /// `file` was opened by [`open`].
    unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
        // SAFETY: SQLite gave us room for both, see `szOsFile`.
        unsafe { file.cast::<File>().add(1).cast() }
    }

    /// # Safety
    /// `file` was opened by [`open`] and is not closed.
    unsafe fn path<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a Path> {
        // SAFETY: null, or a box that `close` frees.
        unsafe { (*file.cast::<File>()).path.as_ref().map(PathBuf::as_path) }
    }
}

/// Makes the layer with a memory the one that SQLite uses where none is named. For a whole process,
/// once.
///
/// # Panics
/// If SQLite does not take it.
pub fn install() {
    if BELOW.get().is_some() {
        return;
    }
    // SAFETY: the default layer lives as long as the process; ours is leaked, so that it does too.
    unsafe {
        ffi::sqlite3_initialize();
        let below = ffi::sqlite3_vfs_find(ptr::null());
        let vfs = ffi::sqlite3_vfs {
            szOsFile: (*below).szOsFile + c_int::try_from(size_of::<File>()).unwrap_or(c_int::MAX),
            pNext: ptr::null_mut(),
            zName: c"powercut".as_ptr(),
            xOpen: Some(open),
            xDelete: Some(delete),
            ..*below
        };
        BELOW.get_or_init(|| Below { vfs: below, methods: methods() });
        let taken = ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 1);
        assert_eq!(taken, ffi::SQLITE_OK, "SQLite does not take the layer");
    }
}

fn below() -> &'static Below {
    BELOW.wait()
}

/// # Safety
/// `name` is null or a C string.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    // SAFETY: the caller says so.
    let bytes = unsafe { name.as_ref().map(|name| CStr::from_ptr(name).to_bytes()) };
    bytes.map(|bytes| PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls us with what it would call the layer below with, and room for both files.
    unsafe {
        let inner = File::inner(file);
        let Some(open) = (*below().vfs).xOpen else { return ffi::SQLITE_CANTOPEN };
        let opened = open(below().vfs, name, inner, flags, out);
        let path = path_of(name).map_or(ptr::null_mut(), |path| Box::into_raw(Box::new(path)));
        // A file without methods is never closed, so that its path is freed here.
        let failed = opened != ffi::SQLITE_OK || (*inner).pMethods.is_null();
        if failed && !path.is_null() {
            drop(Box::from_raw(path));
        }
        let path = if failed { ptr::null_mut() } else { path };
        let methods = if failed { ptr::null() } else { &raw const below().methods };
        file.cast::<File>().write(File { base: ffi::sqlite3_file { pMethods: methods }, path });
        opened
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite calls us with what it would call the layer below with.
    unsafe {
        let path = path_of(name);
        let Some(delete) = (*below().vfs).xDelete else { return ffi::SQLITE_IOERR };
        remember(
            path.as_deref(),
            |path| Op::Delete(path, sync != 0),
            || delete(below().vfs, name, sync),
        )
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: the file is open, and nobody uses it afterwards.
    unsafe {
        let inner = File::inner(file);
        let closed = (*(*inner).pMethods).xClose.map_or(ffi::SQLITE_IOERR, |close| close(inner));
        let path = std::mem::replace(&mut (*file.cast::<File>()).path, ptr::null_mut());
        if !path.is_null() {
            drop(Box::from_raw(path));
        }
        closed
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is open, and `bytes` has so many.
    unsafe {
        let inner = File::inner(file);
        let Some(write) = (*(*inner).pMethods).xWrite else { return ffi::SQLITE_IOERR };
        let length_of = usize::try_from(length).unwrap_or_default();
        let copy = || std::slice::from_raw_parts(bytes.cast::<u8>(), length_of).to_vec();
        let op = |path| Op::Write(path, at.cast_unsigned(), copy());
        remember(File::path(file), op, || write(inner, bytes, length, at))
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    unsafe {
        let inner = File::inner(file);
        let Some(truncate) = (*(*inner).pMethods).xTruncate else { return ffi::SQLITE_IOERR };
        let op = |path| Op::Truncate(path, size.cast_unsigned());
        remember(File::path(file), op, || truncate(inner, size))
    }
}

/// Nothing survives a real power cut here, so that the disk itself need not be waited for.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    if !is_remembering() {
        return ffi::SQLITE_OK;
    }
    // SAFETY: the file is open.
    unsafe { remember(File::path(file), Op::Sync, || ffi::SQLITE_OK) }
}

/// Methods that only go on to the file below.
macro_rules! pass {
    ($($name:ident = $method:ident($($arg:ident: $type:ty),*);)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $arg: $type)*) -> c_int {
            // SAFETY: the file is open; the rest is what SQLite gives the layer below.
            unsafe {
                let inner = File::inner(file);
                let method = (*(*inner).pMethods).$method;
                method.map_or(ffi::SQLITE_IOERR, |method| method(inner $(, $arg)*))
            }
        }
    )*};
}

pass! {
    read = xRead(bytes: *mut c_void, length: c_int, at: ffi::sqlite3_int64);
    file_size = xFileSize(size: *mut ffi::sqlite3_int64);
    lock = xLock(level: c_int);
    unlock = xUnlock(level: c_int);
    check_reserved_lock = xCheckReservedLock(held: *mut c_int);
    file_control = xFileControl(what: c_int, with: *mut c_void);
    sector_size = xSectorSize();
    device_characteristics = xDeviceCharacteristics();
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void);
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int);
    shm_unmap = xShmUnmap(delete: c_int);
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: the file is open.
    unsafe {
        let inner = File::inner(file);
        if let Some(barrier) = (*(*inner).pMethods).xShmBarrier {
            barrier(inner);
        }
    }
}

/// Version 2: with shared memory, which WAL needs, and without memory maps, which write past us.
fn methods() -> ffi::sqlite3_io_methods {
    ffi::sqlite3_io_methods {
        iVersion: 2,
        xClose: Some(close),
        xRead: Some(read),
        xWrite: Some(write),
        xTruncate: Some(truncate),
        xSync: Some(sync),
        xFileSize: Some(file_size),
        xLock: Some(lock),
        xUnlock: Some(unlock),
        xCheckReservedLock: Some(check_reserved_lock),
        xFileControl: Some(file_control),
        xSectorSize: Some(sector_size),
        xDeviceCharacteristics: Some(device_characteristics),
        xShmMap: Some(shm_map),
        xShmLock: Some(shm_lock),
        xShmBarrier: Some(shm_barrier),
        xShmUnmap: Some(shm_unmap),
        xFetch: None,
        xUnfetch: None,
    }
}
