//! Executable memory whose patch sites are switched under running threads.
