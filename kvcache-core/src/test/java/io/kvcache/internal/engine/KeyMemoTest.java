package io.kvcache.internal.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.ChunkKey;
import io.kvcache.DType;
import io.kvcache.KeyChain;
import io.kvcache.KvLayout;
import io.kvcache.Namespace;
import io.kvcache.Tokens;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class KeyMemoTest {
  private static final int CHUNK_TOKENS = 256;
  private static final ChunkKey ROOT =
      KeyChain.root(Namespace.of("model", KvLayout.uniform(1, 1, 8, DType.BF16)));

  private static Tokens prompt(int number) {
    int[] ids = new int[1 << 17];
    Arrays.fill(ids, number);
    return Tokens.of(ids);
  }

  private static KeyChain computed(KeyMemo memo, Tokens prompt) {
    KeyChain chain = memo.chain(ROOT, CHUNK_TOKENS, prompt);
    chain.key(chain.chunks() - 1);
    memo.remember(chain, prompt);
    return chain;
  }

  /** Goal: bounded, and what was used last stays. */
  @Test
  void keepsWhatWasUsedLast() {
    KeyMemo memo = new KeyMemo();
    for (int number = 0; number < 100; number++) {
      computed(memo, prompt(number));
      computed(memo, prompt(0));
      assertTrue(memo.bytes() <= 12 << 20, memo.bytes() + " bytes");
    }
    assertTrue(known(memo, 0) > 1, "used all the time");
    assertTrue(known(memo, 99) > 1, "used last");
    assertEquals(1, known(memo, 50));
  }

  /** Keys there are after one was asked for: more than one when they were taken over. */
  private static int known(KeyMemo memo, int number) {
    KeyChain chain = memo.chain(ROOT, CHUNK_TOKENS, prompt(number));
    chain.key(0);
    return chain.landmarks().size();
  }

  @Test
  void keysAreThoseOfTheChain() {
    KeyMemo memo = new KeyMemo();
    computed(memo, prompt(1));
    KeyChain plain = KeyChain.of(ROOT, CHUNK_TOKENS, prompt(1));
    KeyChain chain = computed(memo, prompt(1));
    IntStream.range(0, plain.chunks()).forEach(chunk -> assertEquals(plain.key(chunk), chain.key(chunk)));
  }

  /** Goal: a prompt looked up again and again, and one that grows, take the place of one. */
  @Test
  void holdsAPromptOnce() {
    KeyMemo memo = new KeyMemo();
    computed(memo, prompt(1));
    long once = memo.bytes();
    for (int again = 0; again < 10; again++) {
      computed(memo, prompt(1));
      computed(memo, Tokens.of(Arrays.copyOf(prompt(1).ids(), 1 << 16)));
    }
    assertEquals(once, memo.bytes());
    int[] longer = Arrays.copyOf(prompt(1).ids(), (1 << 17) + CHUNK_TOKENS);
    computed(memo, Tokens.of(longer));
    assertEquals(once + CHUNK_TOKENS * 4 + 56, memo.bytes());
    assertTrue(known(memo, 1) > 1);
  }
}
