package io.kvcache;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.Objects;

/**
 * The chunk keys of one prompt in one namespace, computed as they are asked for: a miss on the first chunk costs
 * one hash, however long the prompt.
 *
 * <p>{@code h0 = SHA-256(domain ‖ format version ‖ namespace)}, {@code h(i) = SHA-256(h(i-1) ‖ count ‖ tokens ‖
 * extras)}; {@code FORMAT.md} gives every byte. Not thread-safe.
 */
public final class KeyChain {
  private static final byte[] DOMAIN = "kvcache chunk key".getBytes(StandardCharsets.US_ASCII);
  private static final int FORMAT_VERSION = 1;
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final int TOKENS_AT = ChunkKey.BYTES + Integer.BYTES;

  private final Tokens tokens;
  private final int chunkTokens;
  private final ChunkKey root;
  private final ChunkKey[] keys;
  private final MessageDigest sha;
  private final byte[] input;
  private int computed;
  private int nextExtra;

  private KeyChain(ChunkKey root, int chunkTokens, Tokens tokens) {
    this.tokens = Objects.requireNonNull(tokens, "tokens");
    this.chunkTokens = chunkTokens;
    this.root = root;
    this.keys = new ChunkKey[tokens.length() / chunkTokens];
    this.sha = sha256();
    this.input = new byte[TOKENS_AT + chunkTokens * Integer.BYTES];
  }

  /** The keys of the full chunks of {@code tokens}. */
  public static KeyChain of(Namespace namespace, Tokens tokens) {
    return of(root(namespace), namespace.layout().chunkTokens(), tokens);
  }

  /** As {@link #of(Namespace, Tokens)}, for a caller that keeps {@link #root}. */
  public static KeyChain of(ChunkKey root, int chunkTokens, Tokens tokens) {
    return new KeyChain(root, chunkTokens, tokens);
  }

  /** What the chain of every prompt in {@code namespace} starts from. */
  public static ChunkKey root(Namespace namespace) {
    byte[] version = new byte[Integer.BYTES];
    MemorySegment.ofArray(version).set(INT, 0, FORMAT_VERSION);
    MessageDigest sha = sha256();
    sha.update(DOMAIN);
    sha.update(version);
    return ChunkKey.of(sha.digest(namespace.encoded()));
  }

  /** Full chunks of the prompt. */
  public int chunks() {
    return keys.length;
  }

  /** What precedes the first chunk. */
  public ChunkKey root() {
    return root;
  }

  /** The key of chunk {@code index}, from 0; computes those before it that are not yet known. */
  public ChunkKey key(int index) {
    Objects.checkIndex(index, keys.length);
    while (computed <= index) {
      keys[computed] = next(computed == 0 ? root : keys[computed - 1], computed);
      computed++;
    }
    return keys[index];
  }

  private ChunkKey next(ChunkKey previous, int index) {
    int from = index * chunkTokens;
    MemorySegment bytes = MemorySegment.ofArray(input);
    previous.write(bytes, 0);
    bytes.set(INT, ChunkKey.BYTES, chunkTokens);
    MemorySegment.copy(tokens.sharedIds(), from, bytes, INT, TOKENS_AT, chunkTokens);
    sha.update(input);
    updateExtras(from);
    return ChunkKey.of(sha.digest());
  }

  private void updateExtras(int from) {
    List<Tokens.Extra> extras = tokens.extras();
    int first = nextExtra;
    while (nextExtra < extras.size() && extras.get(nextExtra).offset() < from + chunkTokens) {
      nextExtra++;
    }
    updateInt(nextExtra - first);
    for (Tokens.Extra extra : extras.subList(first, nextExtra)) {
      updateInt(extra.offset() - from);
      updateInt(extra.digest().length);
      sha.update(extra.digest());
    }
  }

  private void updateInt(int value) {
    for (int shift = 0; shift < Integer.SIZE; shift += Byte.SIZE) {
      sha.update((byte) (value >>> shift));
    }
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException impossible) {
      throw new AssertionError("every Java platform has SHA-256", impossible);
    }
  }
}
