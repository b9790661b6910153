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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.IntFunction;
import java.util.stream.Collectors;
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
   * Pieces of a text, spread evenly over it, each from where a document of the text begins.
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
    int[] starts = starts(text);
    if (starts.length == 0) {
      throw new IOException(
          file + " has " + text.length() + " characters, must have more than " + CHARACTERS);
    }
    return number -> {
      int start = starts[(int) ((long) number * starts.length / prompts) % starts.length];
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

  /**
   * Where pieces may start. A model that was trained on whole documents takes what it is given for the beginning of
   * one, and attends accordingly. Where they begin is not marked, but they begin alike, as stories do: so it is at the
   * lines that begin with the three words that most lines begin with, if a tenth of them does; else at all lines.
   */
  private static int[] starts(String text) {
    List<Integer> lines = new ArrayList<>();
    for (int at = 0; at >= 0 && at < text.length() - CHARACTERS; at = text.indexOf('\n', at + 1)) {
      lines.add(at == 0 ? 0 : at + 1);
    }
    Map<String, List<Integer>> byOpening =
        lines.stream().collect(Collectors.groupingBy(line -> opening(text, line)));
    List<Integer> alike = byOpening.values().stream().max(Comparator.comparingInt(List::size)).orElse(lines);
    return (10 * alike.size() >= lines.size() ? alike : lines).stream().mapToInt(Integer::intValue).toArray();
  }

  private static String opening(String text, int line) {
    String[] words = text.substring(line, Math.min(text.length(), line + 100)).split("\\s+", 4);
    return String.join(" ", Arrays.asList(words).subList(0, Math.min(3, words.length)));
  }
}
