// Loaded with --import into each emulator: when the launcher is gone, even by SIGKILL, its channel closes and the child ends.
process.on('disconnect', () => {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.exit(1), 5_000).unref();
});
process.channel?.unref();
