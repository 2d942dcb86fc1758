#include "cc/postprocess/postprocess.h"

#include <limits>

#include "cc/math.h"
#include "cc/multiversion.h"
#include "cc/nms/candidates.h"
#include "cc/nms/suppression.h"

namespace roadmark {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// Softmax over each row; scores are [rows, columns - first_column]. Rows where no such column can
// have a score above the threshold become NaN, which is no candidate.
struct Softmax {
  ROADMARK_KERNEL void Run(const float* __restrict logits, int64_t rows, int64_t columns,
                           int64_t first_column, float multiplier, float threshold,
                           float* __restrict scores) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    constexpr int kLanes = 16;
    const int64_t classes = columns - first_column;
    for (int64_t row = 0; row < rows; ++row, logits += columns, scores += classes) {
      float best = -kInfinity;
      for (int64_t c = first_column; c < columns; ++c) best = logits[c] > best ? logits[c] : best;
      float largest = best;
      for (int64_t c = 0; c < first_column; ++c) {
        largest = logits[c] > largest ? logits[c] : largest;
      }
      // The denominator is 1 or more, so this bounds every score of the row.
      if (!(Exp((best - largest) * multiplier) > threshold)) {
        for (int64_t c = 0; c < classes; ++c) scores[c] = std::numeric_limits<float>::quiet_NaN();
        continue;
      }
      // In lanes: one order of additions whatever the width of the registers.
      float sums[kLanes] = {};
      const auto exponent = [&](int64_t c) ROADMARK_INLINED {
        return Exp((logits[c] - largest) * multiplier);
      };
      int64_t c = 0;
      for (; c + kLanes <= columns; c += kLanes) {
        for (int lane = 0; lane < kLanes; ++lane) sums[lane] += exponent(c + lane);
      }
      for (int lane = 0; c < columns; ++c, ++lane) sums[lane] += exponent(c);
      float sum = 0;
      for (int lane = 0; lane < kLanes; ++lane) sum += sums[lane];
      for (int64_t k = 0; k < classes; ++k) scores[k] = exponent(first_column + k) / sum;
    }
  }
};

struct Sigmoids {
  ROADMARK_KERNEL void Run(const float* __restrict logits, int64_t count,
                           float* __restrict probabilities) {
    for (int64_t i = 0; i < count; ++i) probabilities[i] = Sigmoid(logits[i]);
  }
};

// A matrix of what becomes scores, and how.
struct ScoreMatrix {
  const float* logits;
  int64_t rows, columns, first_column;
  ScoreConverter converter;
  float multiplier;

  float ScoreAt(int64_t row, int64_t class_index) const {
    return ConvertScore(logits[row * columns + first_column + class_index], converter, multiplier);
  }
};

Box DecodeAt(const RawOutputs& raw, const BoxScales& scales, int64_t row, int64_t class_index) {
  const int64_t box = raw.boxes_per_row == 1 ? row : row * raw.boxes_per_row + class_index;
  return DecodeFasterRcnn(raw.box_encodings + 4 * box, raw.anchors[row], scales);
}

// One candidate per row and class.
class PerClassSource {
 public:
  PerClassSource(const RawOutputs& raw, const BoxScales& scales, const ScoreMatrix& matrix,
                 float score_threshold)
      : candidates_(matrix.logits, matrix.rows, matrix.columns, matrix.first_column,
                    matrix.converter, matrix.multiplier, score_threshold),
        raw_(raw),
        scales_(scales) {}

  bool NextTier(std::vector<Candidate>* tier) { return candidates_.NextTier(tier); }
  float floor() const { return candidates_.floor(); }
  int64_t RowOf(const Candidate& candidate) const { return candidates_.RowOf(candidate); }
  int64_t ClassOf(const Candidate& candidate) const { return candidates_.ColumnOf(candidate); }
  int64_t OutputClassOf(const Candidate& candidate) const { return ClassOf(candidate); }
  Box BoxOf(const Candidate& candidate) const {
    return DecodeAt(raw_, scales_, RowOf(candidate), ClassOf(candidate));
  }

 private:
  CandidateMatrix candidates_;
  const RawOutputs& raw_;
  const BoxScales& scales_;
};

// One candidate per row, with its best class.
class ClassAgnosticSource {
 public:
  ClassAgnosticSource(const RawOutputs& raw, const BoxScales& scales, const ScoreMatrix& matrix,
                      float score_threshold)
      : best_logits_(BestLogits(matrix)),
        candidates_(best_logits_.data(), matrix.rows, 1, 0, matrix.converter, matrix.multiplier,
                    score_threshold),
        raw_(raw),
        scales_(scales),
        matrix_(matrix) {}

  bool NextTier(std::vector<Candidate>* tier) { return candidates_.NextTier(tier); }
  float floor() const { return candidates_.floor(); }
  int64_t RowOf(const Candidate& candidate) const { return candidate.rank(); }
  int64_t ClassOf(const Candidate&) const { return 0; }
  // The lowest of the classes with the best score.
  int64_t OutputClassOf(const Candidate& candidate) const {
    const float best =
        ConvertScore(best_logits_[candidate.rank()], matrix_.converter, matrix_.multiplier);
    int64_t class_index = 0;
    while (class_index + 1 < raw_.num_classes &&
           !(matrix_.ScoreAt(candidate.rank(), class_index) >= best)) {
      ++class_index;
    }
    return class_index;
  }
  Box BoxOf(const Candidate& candidate) const {
    return DecodeAt(raw_, scales_, RowOf(candidate), OutputClassOf(candidate));
  }

 private:
  static std::vector<float> BestLogits(const ScoreMatrix& matrix) {
    std::vector<float> best(matrix.rows);
    RowMaxima(matrix.logits, matrix.rows, matrix.columns, matrix.first_column, best.data());
    return best;
  }

  std::vector<float> best_logits_;
  CandidateMatrix candidates_;
  const RawOutputs& raw_;
  const BoxScales& scales_;
  const ScoreMatrix& matrix_;
};

template <typename Source>
std::vector<Detection> Detect(const RawOutputs& raw, const ScoreMatrix& matrix,
                              const Window& window, const PostprocessOptions& options) {
  const NmsOptions& nms = options.nms;
  std::vector<Detection> detections;
  if (nms.max_total <= 0) return detections;
  Source source(raw, options.box_scales, matrix, nms.score_threshold);
  const SuppressionOptions suppression = {
      nms.score_threshold,
      nms.iou_threshold,
      nms.soft_nms_sigma,
      options.class_agnostic ? 1 : raw.num_classes,
      options.class_agnostic ? nms.max_total : nms.max_per_class,
      kNoLimit};
  Suppress(source, suppression,
           [&](const Candidate& candidate, int64_t, const Box& box, float score) {
             const Box clipped = ClipTo(box, window);
             if (!HasArea(clipped)) return true;
             detections.push_back({Renormalise(clipped, window), score,
                                   source.OutputClassOf(candidate), source.RowOf(candidate)});
             return static_cast<int64_t>(detections.size()) < nms.max_total;
           });
  return detections;
}

}  // namespace

std::vector<Detection> Postprocess(const RawOutputs& raw, const Window& window,
                                   const PostprocessOptions& options) {
  const int64_t first_column = options.background_column ? 1 : 0;
  const float multiplier = static_cast<float>(1.0 / options.logit_scale);
  ScoreMatrix matrix = {raw.class_logits,
                        raw.count,
                        raw.num_classes + first_column,
                        first_column,
                        options.score_function == ScoreFunction::kSigmoid
                            ? ScoreConverter::kSigmoid
                            : ScoreConverter::kIdentity,
                        multiplier};
  std::vector<float> scores;
  if (options.score_function == ScoreFunction::kSoftmax) {
    scores.resize(raw.count * raw.num_classes);
    MultiVersion<Softmax>::Run(raw.class_logits, raw.count, matrix.columns, first_column,
                               multiplier, options.nms.score_threshold, scores.data());
    matrix = {scores.data(), raw.count, raw.num_classes, 0, ScoreConverter::kIdentity, 1.0f};
  }
  return options.class_agnostic ? Detect<ClassAgnosticSource>(raw, matrix, window, options)
                                : Detect<PerClassSource>(raw, matrix, window, options);
}

void SelectMasks(const float* mask_logits, int64_t masks_per_row, int64_t mask_size,
                 const std::vector<Detection>& detections, float* probabilities) {
  for (const Detection& detection : detections) {
    const int64_t own = masks_per_row == 1 ? 0 : detection.class_index;
    const float* logits = mask_logits + (detection.row * masks_per_row + own) * mask_size;
    MultiVersion<Sigmoids>::Run(logits, mask_size, probabilities);
    probabilities += mask_size;
  }
}

}  // namespace roadmark
