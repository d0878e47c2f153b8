/** Packet types of draft-ietf-secsh-filexfer-02, section 3. */
export const PacketType = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attrs: 105,
  extended: 200,
  extendedReply: 201,
} as const;

export const SFTP_VERSION = 3;

/** OpenSSH's `SFTP_MAX_MSG_LENGTH`; announced by limits@openssh.com. */
export const MAX_PACKET_BYTES = 256 * 1024;
/** Some clients write a whole 256 KiB and put their header on top. */
export const MAX_FRAME_BYTES = MAX_PACKET_BYTES + 1024;
/** Largest READ and announced WRITE, as in OpenSSH: 1 KiB of a packet is left for its header. */
export const MAX_TRANSFER_BYTES = 255 * 1024;
/** Longer than any handle that we give out, and OpenSSH's own limit. */
export const MAX_HANDLE_BYTES = 256;
