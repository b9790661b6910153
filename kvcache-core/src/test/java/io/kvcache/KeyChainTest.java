package io.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.security.MessageDigest;
import java.security.MessageDigestSpi;
import java.security.Provider;
import java.security.Security;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
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

  /** Goal: keys taken over are those that would have been computed. Method: seeded prompts that share beginnings. */
  @Test
  void keysTakenOverAreTheSame() {
    SplittableRandom random = new SplittableRandom(20261125);
    Map<ChunkKey, KeyChain> known = new HashMap<>();
    ChunkKey[] roots = {KeyChain.root(BASE), KeyChain.root(BASE.withAdapter("other"))};
    int hashes = 0;
    int chunks = 0;
    for (int prompt = 0; prompt < 3000; prompt++) {
      int[] ids = new int[16 * 70];
      for (int block = 0; block < ids.length; block += 8) {
        Arrays.fill(ids, block, block + 8, random.nextInt(60) == 0 ? random.nextInt(3) : 0);
      }
      Tokens tokens = Tokens.of(Arrays.copyOf(ids, random.nextInt(1, ids.length + 1)));
      for (int extra = 0; extra < random.nextInt(8) - 5; extra++) {
        tokens = tokens.withExtra(random.nextInt(tokens.length()), bytes(random.nextInt(2)));
      }
      ChunkKey root = roots[random.nextInt(2)];
      KeyChain plain = KeyChain.of(root, LAYOUT.chunkTokens(), tokens);
      KeyChain chain = KeyChain.of(root, LAYOUT.chunkTokens(), tokens, known::get);
      for (int chunk = 0; chunk < chain.chunks(); chunk++) {
        assertEquals(plain.key(chunk), chain.key(chunk), "prompt " + prompt + " chunk " + chunk);
      }
      chain.landmarks().forEach(landmark -> known.put(landmark, chain));
      hashes += chain.hashes();
      chunks += chain.chunks();
    }
    assertTrue(hashes < chunks * 2 / 3, hashes + " of " + chunks + " hashed");
  }

  /** Goal: a turn hashes what the turns before it did not have, also among many that begin alike. */
  @Test
  void theNextTurnHashesLittleMore() {
    Map<ChunkKey, KeyChain> known = new HashMap<>();
    for (int turn = 1; turn <= 2; turn++) {
      for (int conversation = 0; conversation < 50; conversation++) {
        int[] ids = new int[16 * 200 * turn];
        Arrays.fill(ids, 16 * 10, ids.length, 1 + conversation);
        KeyChain chain =
            KeyChain.of(KeyChain.root(BASE), LAYOUT.chunkTokens(), Tokens.of(ids), known::get);
        chain.key(chain.chunks() - 1);
        chain.landmarks().forEach(landmark -> known.put(landmark, chain));
        // The first ten are alike; a chunk for each landmark until its own turn before is found, at the sixteenth.
        assertTrue(turn == 1 || chain.hashes() <= 200 + 10, chain.hashes() + " hashed");
      }
    }
  }

  @Test
  void otherChunkSizesAndRootsAreNotTakenOver() {
    Tokens tokens = tokens(640);
    KeyChain other = KeyChain.of(KeyChain.root(BASE), 16, tokens);
    other.key(39);
    KeyChain longer = KeyChain.of(KeyChain.root(BASE), 32, tokens, landmark -> other);
    longer.key(19);
    assertEquals(20, longer.hashes());
    KeyChain foreign = KeyChain.of(KeyChain.root(BASE.withAdapter("a")), 16, tokens, landmark -> other);
    foreign.key(39);
    assertEquals(40, foreign.hashes());
  }
}
