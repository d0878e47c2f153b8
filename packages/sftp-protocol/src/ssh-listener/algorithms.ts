import { ML_KEM } from '../ssh2-private/hybrid-key-exchange.ts';

/**
 * The algorithms that are offered, best first. No compression (an unauthenticated peer could send bombs), no SHA-1, no CBC,
 * no group 14 or 18 (weak; 20 ms of CPU for each handshake). Post-quantum first, as OpenSSH 10 does.
 */
export const KEY_EXCHANGES = [ML_KEM, 'curve25519-sha256', 'curve25519-sha256@libssh.org', 'diffie-hellman-group16-sha512'] as const;
const CHACHA20 = 'chacha20-poly1305@openssh.com';
const SAFE_CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes256-ctr', 'aes128-ctr'] as const;
const ALL_CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', CHACHA20, 'aes256-ctr', 'aes128-ctr'] as const;
export const MACS = ['hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256-etm@openssh.com'] as const;
/** What host keys and users' keys sign with. */
export const SIGNATURE_ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
] as const;
/** What ssh2 is told; its own name stands for ML-KEM, see hybrid-key-exchange.ts. */
export const SSH2_KEY_EXCHANGES = KEY_EXCHANGES.filter((name) => name !== ML_KEM);
export const SSH2_CIPHERS = ALL_CIPHERS;

/**
 * chacha20-poly1305 is safe with strict key exchange only (CVE-2023-48795). Whether the peer has it shows in its KEXINIT,
 * which comes after ours is gone; and an old OpenSSH prefers chacha20, so offering it would lock such clients out. So it is
 * offered to those whose version says that they have it; all others find AES. A peer that chooses it without strict key
 * exchange all the same is disconnected (transport-guard.ts).
 */
export function ciphersFor(identification: string): readonly string[] {
  return hasStrictKeyExchange(identification) ? ALL_CIPHERS : SAFE_CIPHERS;
}

function hasStrictKeyExchange(identification: string): boolean {
  // Debian 12 brought the cure back to 9.2p1 in its second update.
  const debian = /^SSH-2\.0-OpenSSH_9\.2p1 Debian-2\+deb12u(\d+)/.exec(identification);
  if (debian !== null) return Number(debian[1]) >= 2;
  const version = /^SSH-2\.0-OpenSSH_(\d+)\.(\d+)/.exec(identification);
  if (version === null) return false;
  const [major, minor] = [Number(version[1]), Number(version[2])];
  return major > 9 || (major === 9 && minor >= 6);
}
