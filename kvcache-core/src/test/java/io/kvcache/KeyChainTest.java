package io.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.security.MessageDigest;
import java.security.MessageDigestSpi;
import java.security.Provider;
import java.security.Security;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What a chain of keys tells apart, and what it costs. */
class KeyChainTest {
  private static final Namespace BASE = KeyVectorsTest.BASE;
  private static final KvLayout LAYOUT = KeyVectorsTest.LAYOUT;

  private static Tokens tokens(int count) {
    return Tokens.of(IntStream.range(0, count).toArray());
  }

  private static List<ChunkKey> keys(Tokens tokens) {
    KeyChain chain = KeyChain.of(BASE, tokens);
    return IntStream.range(0, chain.chunks()).mapToObj(chain::key).toList();
  }

  private static byte[] bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return bytes;
  }

  /** Goal: no two namespaces meet because the end of one field reads as the start of the next. */
  @Test
  void fieldsOfTheNamespaceDoNotRunTogether() {
    List<String> parts = List.of("", "a", "b", "c", "ab", "bc", "abc", "ca");
    Set<ChunkKey> roots = new HashSet<>();
    int namespaces = 0;
    for (String adapter : parts) {
      for (String rope : parts) {
        for (String engine : parts) {
          Namespace namespace = BASE.withAdapter(adapter).withRopeScaling(rope).withEngine(engine);
          roots.add(KeyChain.root(namespace));
          roots.add(KeyChain.root(namespace.withTenant(bytes('a'))));
          namespaces += 2;
        }
      }
    }
    assertEquals(namespaces, roots.size());
  }

  @Test
  void extrasDoNotRunTogether() {
    Set<ChunkKey> keys = new HashSet<>();
    keys.add(keys(tokens(16)).getFirst());
    keys.add(keys(tokens(16).withExtra(1, bytes(1, 2)).withExtra(1, bytes(3))).getFirst());
    keys.add(keys(tokens(16).withExtra(1, bytes(1)).withExtra(1, bytes(2, 3))).getFirst());
    keys.add(keys(tokens(16).withExtra(1, bytes(1, 2, 3))).getFirst());
    keys.add(keys(tokens(16).withExtra(2, bytes(1, 2, 3))).getFirst());
    keys.add(keys(tokens(16).withExtra(1, bytes(1, 2, 3, 0))).getFirst());
    keys.add(keys(tokens(16).withExtra(1, bytes(1, 2, 3)).withExtra(1, bytes(1, 2, 3))).getFirst());
    assertEquals(7, keys.size());
  }

  @Test
  void orderInWhichExtrasAreGivenDoesNotMatter() {
    Tokens one = tokens(48).withExtra(20, bytes(2)).withExtra(0, bytes(255)).withExtra(20, bytes(2, 0));
    Tokens other = tokens(48).withExtra(20, bytes(2, 0)).withExtra(20, bytes(2)).withExtra(0, bytes(255));
    assertEquals(keys(one), keys(other));
  }

  @Test
  void anExtraChangesItsChunkAndThoseBehind() {
    List<ChunkKey> plain = keys(tokens(64));
    List<ChunkKey> extra = keys(tokens(64).withExtra(16, bytes(7)));
    assertEquals(plain.getFirst(), extra.getFirst());
    for (int chunk = 1; chunk < 4; chunk++) {
      assertNotEquals(plain.get(chunk), extra.get(chunk));
    }
    assertEquals(plain.subList(0, 3), keys(tokens(64).withExtra(63, bytes(7))).subList(0, 3));
  }

  @Test
  void anExtraBehindTheLastFullChunkChangesNothing() {
    assertEquals(keys(tokens(40)), keys(tokens(40).withExtra(32, bytes(1))));
    assertEquals(2, keys(tokens(40)).size());
  }

  @Test
  void oneTokenChangesItsChunkAndThoseBehind() {
    int[] ids = tokens(64).ids();
    ids[31]++;
    List<ChunkKey> changed = keys(Tokens.of(ids));
    List<ChunkKey> plain = keys(tokens(64));
    assertEquals(plain.getFirst(), changed.getFirst());
    assertTrue(IntStream.range(1, 4).noneMatch(chunk -> plain.get(chunk).equals(changed.get(chunk))));
  }

  /** Goal: equal tokens at another place of the prompt have another key. */
  @Test
  void aChunkDependsOnAllBeforeIt() {
    List<ChunkKey> keys = keys(Tokens.of(new int[160]));
    assertEquals(10, new HashSet<>(keys).size());
  }

  @Test
  void keysComeOutTheSameInAnyOrder() {
    Tokens tokens = tokens(16 * 20).withExtra(100, bytes(1)).withExtra(5, bytes(2));
    List<ChunkKey> expected = keys(tokens);
    SplittableRandom random = new SplittableRandom(20261123);
    KeyChain chain = KeyChain.of(KeyChain.root(BASE), LAYOUT.chunkTokens(), tokens);
    for (int step = 0; step < 100; step++) {
      int chunk = random.nextInt(20);
      assertEquals(expected.get(chunk), chain.key(chunk));
    }
    assertEquals(KeyChain.root(BASE), chain.root());
    assertThrows(IndexOutOfBoundsException.class, () -> chain.key(20));
  }

  @Test
  void bytesAndWordsOfAKeyAgree() {
    ChunkKey key = keys(tokens(16)).getFirst();
    assertEquals(key, ChunkKey.of(key.bytes()));
    assertEquals(64, key.toString().length());
    assertEquals(key.hashCode(), ChunkKey.of(key.bytes()).hashCode());
    assertThrows(IllegalArgumentException.class, () -> ChunkKey.of(new byte[31]));
  }

  /** Goal: a miss on the first chunk costs one hash. Method: a provider that counts those that are finished. */
  @Test
  void theFirstKeyOfALongPromptTakesOneHash() {
    ChunkKey root = KeyChain.root(BASE);
    Tokens tokens = tokens(100_000);
    Provider counting = new Provider("Counting", "1", "counts digests") {
      private static final long serialVersionUID = 1L;
    };
    counting.put("MessageDigest.SHA-256", CountingDigest.class.getName());
    Security.insertProviderAt(counting, 1);
    try {
      KeyChain chain = KeyChain.of(root, LAYOUT.chunkTokens(), tokens);
      CountingDigest.FINISHED.set(0);
      ChunkKey first = chain.key(0);
      assertEquals(1, CountingDigest.FINISHED.get());
      assertEquals(first, chain.key(0));
      assertEquals(1, CountingDigest.FINISHED.get());
      chain.key(9);
      assertEquals(10, CountingDigest.FINISHED.get());
    } finally {
      Security.removeProvider(counting.getName());
    }
  }

  /** SHA-256 of the platform, counted. */
  public static final class CountingDigest extends MessageDigestSpi {
    static final AtomicInteger FINISHED = new AtomicInteger();

    private final MessageDigest platform;

    /** For the provider. */
    public CountingDigest() throws Exception {
      platform = MessageDigest.getInstance("SHA-256", "SUN");
    }

    @Override
    protected void engineUpdate(byte input) {
      platform.update(input);
    }

    @Override
    protected void engineUpdate(byte[] input, int offset, int length) {
      platform.update(input, offset, length);
    }

    @Override
    protected byte[] engineDigest() {
      FINISHED.incrementAndGet();
      return platform.digest();
    }

    @Override
    protected void engineReset() {
      platform.reset();
    }
  }
}
