package io.kvcache;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Function;

/**
 * The chunk keys of one prompt in one namespace, computed as they are asked for: a miss on the first chunk costs
 * one hash, however long the prompt.
 *
 * <p>{@code h0 = SHA-256(domain ‖ format version ‖ namespace)}, {@code h(i) = SHA-256(h(i-1) ‖ count ‖ tokens ‖
 * extras)}; {@code FORMAT.md} gives every byte.
 *
 * <p>Threads: one at a time; others may meanwhile take over the keys it knows.
 */
public final class KeyChain {
  private static final byte[] DOMAIN = "kvcache chunk key".getBytes(StandardCharsets.US_ASCII);
  private static final int FORMAT_VERSION = 1;
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final int TOKENS_AT = ChunkKey.BYTES + Integer.BYTES;
  /** Chains that may know more are looked for at 1, 4, 16 … chunks. */
  private static final int LANDMARK_SHIFT = 2;

  private final Tokens tokens;
  private final int chunkTokens;
  private final ChunkKey root;
  private final ChunkKey[] keys;
  private final MessageDigest sha;
  private final byte[] input;
  private final Function<ChunkKey, KeyChain> earlier;
  /** Volatile for those who take over: keys before it are there, and stay. */
  private volatile int computed;

  private int nextExtra;
  private int hashes;

  private KeyChain(ChunkKey root, int chunkTokens, Tokens tokens, Function<ChunkKey, KeyChain> earlier) {
    this.earlier = earlier;
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
    return of(root, chunkTokens, tokens, landmark -> null);
  }

  /**
   * As {@link #of(ChunkKey, int, Tokens)}, taking over what other chains have computed: comparing tokens is several
   * times as fast as hashing them.
   *
   * @param earlier a chain that has this key among its {@link #landmarks}, or null; what it knows is checked
   */
  public static KeyChain of(ChunkKey root, int chunkTokens, Tokens tokens,
      Function<ChunkKey, KeyChain> earlier) {
    return new KeyChain(root, chunkTokens, tokens, earlier);
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
      int at = computed;
      keys[at] = next(at == 0 ? root : keys[at - 1], at);
      computed = at + 1;
      KeyChain other = isLandmark(at + 1) ? earlier.apply(keys[at]) : null;
      if (other != null) {
        takeOver(other);
      }
    }
    return keys[index];
  }

  /** The keys known so far of the first chunk, the fourth, the sixteenth and so on. */
  public List<ChunkKey> landmarks() {
    List<ChunkKey> landmarks = new ArrayList<>();
    for (int count = 1; count <= computed; count <<= LANDMARK_SHIFT) {
      landmarks.add(keys[count - 1]);
    }
    return landmarks;
  }

  /** Whether all keys known here are known to another chain as well. */
  public boolean within(KeyChain other) {
    int known = computed;
    return known == 0 || (known <= other.computed && keys[known - 1].equals(other.keys[known - 1]));
  }

  private static boolean isLandmark(int count) {
    return Integer.bitCount(count) == 1 && Integer.numberOfTrailingZeros(count) % LANDMARK_SHIFT == 0;
  }

  /** Takes over the keys of chunks of which all tokens and extras are the same, from the start of the prompt on. */
  private void takeOver(KeyChain other) {
    if (other.chunkTokens != chunkTokens || !other.root.equals(root)) {
      return;
    }
    int known = Math.min(other.computed, keys.length);
    int same = tokens.agreesUpTo(other.tokens, known * chunkTokens) / chunkTokens;
    if (same > computed) {
      System.arraycopy(other.keys, computed, keys, computed, same - computed);
      List<Tokens.Extra> extras = tokens.extras();
      while (nextExtra < extras.size() && extras.get(nextExtra).offset() < same * chunkTokens) {
        nextExtra++;
      }
      computed = same;
    }
  }

  /** Chunks hashed here, rather than taken over. */
  int hashes() {
    return hashes;
  }

  private ChunkKey next(ChunkKey previous, int index) {
    hashes++;
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
