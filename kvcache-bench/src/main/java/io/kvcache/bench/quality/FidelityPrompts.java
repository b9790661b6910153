package io.kvcache.bench.quality;

import io.kvcache.bench.model.ModelConfig;
import io.kvcache.bench.model.Tokenizer;
import io.kvcache.bench.quality.FidelityPrompt.Continuation;
import io.kvcache.bench.task.DocumentGenerator;
import io.kvcache.bench.task.DocumentSize;
import io.kvcache.bench.task.RecallDocument;
import io.kvcache.bench.task.RecallQuestion;
import io.kvcache.bench.task.Vocabulary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/** Where prompts come from, by number: the same number gives the same prompt. */
final class FidelityPrompts {
  /** The shortest prompt. */
  static final int LEAST_TOKENS = 256;

  /** Long enough that there is something to drop, short enough that hundreds are read in minutes. */
  private static final DocumentSize DOCUMENTS = new DocumentSize(LEAST_TOKENS, 3 * LEAST_TOKENS);
  private static final int QUESTIONS = 4;

  /** Prompts of text have from four to six chunks. */
  private static final int MOST_CHUNKS = 6;
  private static final int TEXT_CONTINUATION = 64;
  private static final int MOST_TEXT_TOKENS =
      (MOST_CHUNKS + 1) * FidelityRun.CHUNK_TOKENS + TEXT_CONTINUATION;
  /** Characters set aside for each prompt: more than tokens ever take. */
  private static final int CHARACTERS = 5 * MOST_TEXT_TOKENS;

  private FidelityPrompts() {}

  /** Documents of all kinds in turn, none of which the shipped weights were trained on, with questions and answers. */
  static IntFunction<FidelityPrompt> documents(long seed) {
    DocumentGenerator generator = new DocumentGenerator(DOCUMENTS);
    return number -> {
      RecallDocument document = generator.heldOut(seed, number);
      return new FidelityPrompt(document.kind().name().toLowerCase(Locale.ROOT), document.tokens(),
          document.questions().stream().limit(QUESTIONS).map(FidelityPrompts::asked).toList());
    };
  }

  /** A question and its true answer, whose every token is predicted, and that nothing follows it. */
  private static Continuation asked(RecallQuestion question) {
    int[] answer = question.answer();
    int[] next = Arrays.copyOf(answer, answer.length + 1);
    next[answer.length] = Vocabulary.END;
    int[] read = IntStream.concat(Arrays.stream(question.tokens()), Arrays.stream(answer)).toArray();
    return new Continuation(read, next.length, next);
  }

  /**
   * Pieces of a text, spread evenly over it, each from the beginning of a line.
   *
   * @param prompts how many there are
   * @param rest tokens of a prompt behind its last full chunk, which stay exact; below those of a chunk
   * @throws IOException when the text cannot be read or is too short, or the model is too small
   */
  static IntFunction<FidelityPrompt> text(Path file, Tokenizer tokenizer, ModelConfig config, int prompts,
      int rest) throws IOException {
    String text = Files.readString(file).replaceAll("\\s*\\n\\s*", "\n").strip();
    if (config.context() < MOST_TEXT_TOKENS) {
      throw new IOException("the model has a context of " + config.context()
          + " tokens, prompts and what follows need " + MOST_TEXT_TOKENS);
    }
    if (text.length() < 2 * CHARACTERS) {
      throw new IOException(file + " has " + text.length() + " characters, must have " + 2 * CHARACTERS);
    }
    return number -> {
      int from = (int) (number * (text.length() - 2L * CHARACTERS) / Math.max(1, prompts - 1));
      int line = text.indexOf('\n', from) + 1;
      int start = line > 0 && line < from + CHARACTERS ? line : from;
      int[] tokens = IntStream.concat(IntStream.of(Tokenizer.BOS),
          Arrays.stream(tokenizer.encode(text.substring(start, start + CHARACTERS)))).toArray();
      int chunks =
          new SplittableRandom(number).nextInt(LEAST_TOKENS / FidelityRun.CHUNK_TOKENS, MOST_CHUNKS + 1);
      int prompt = chunks * FidelityRun.CHUNK_TOKENS + rest;
      int[] continuation = Arrays.copyOfRange(tokens, prompt, prompt + TEXT_CONTINUATION);
      return new FidelityPrompt("text", Arrays.copyOf(tokens, prompt),
          List.of(new Continuation(continuation, continuation.length, new int[0])));
    };
  }
}
