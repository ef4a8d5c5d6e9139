//! Where runs are made: the programs, and the cores of server and load.

use std::path::PathBuf;

use linux::cpu;

/// Programs and cores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The server's program.
    pub server: PathBuf,
    /// The generator's program.
    pub load: PathBuf,
    /// Cores of the server, and of a command's whole process.
    pub cores_server: Vec<usize>,
    /// Cores of the load.
    pub cores_load: Vec<usize>,
}

impl Place {
    /// The programs beside this one, the server on the first core that it may use and the load on the second, if there is one.
    /// Errors: as of current_exe(3) and sched_getaffinity(2).
    pub fn usual() -> std::io::Result<Place> {
        let beside = std::env::current_exe()?;
        let cores = cpu::allowed().map_err(std::io::Error::other)?;
        Ok(Place {
            server: beside.with_file_name("ringmill"),
            load: beside.with_file_name("ringmill-load"),
            cores_server: cores[..1].to_vec(),
            cores_load: cores[cores.len().min(2) - 1..cores.len().min(2)].to_vec(),
        })
    }
}
