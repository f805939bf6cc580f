#include "train/recipe_table.h"

namespace morex::train {

const std::vector<OptionRow>& method_rows() {
  static const std::vector<OptionRow> rows = {
      {"method", "text", "\"lora\"",
       "A published method as a choice of experts, router, prior and losses: lora, rslora, dora, lora_plus, pissa, "
       "moslora, hydralora, loramoe, mola, mor, adamole, dynmole, moelora, mixlora, mor_mixlora, smore, "
       "smore_shared, trex; full: every weight of the base is trained. Keys beside it replace the preset's."},
      {"r", "whole number", "8", "LoRA's rank."},
      {"lora_alpha", "number", "8", "LoRA's scale is lora_alpha / r."},
      {"lora_dropout", "number", "0.0", "Share of LoRA's input that is dropped in training."},
      {"use_rslora", "true or false", "false", "LoRA's scale is lora_alpha / sqrt(r)."},
      {"init_lora_weights", "true, false or text", "true",
       "true: A Kaiming-uniform, B zero; gaussian: A normal, B zero; false: both Kaiming-uniform; pissa: the base's "
       "largest singular directions, which leave the base."},
      {"use_dora", "true or false", "false", "DoRA: the norm of each output's weights is a trained number of its own."},
      {"loraplus_lr_ratio", "number", "1.0", "LoRA+: the learning rate of every B is this many times the others'."},
      {"lr_ratios", "mapping", "{}",
       "Learning rates of the axes: factors under experts, router and prior, times LoRA+'s where both apply."},
      {"freeze", "mapping", "{}",
       "What is not trained: under experts, router and prior, true (the whole run) or [from, until], steps counted "
       "from "
       "0, until -1 for the end. Neither values, moments and weight decay move nor does the gradient's norm count "
       "them."},
      {"target_modules", "list of texts, or text", "\"all-linear\"",
       "Projections to adapt: names or paths, `all-linear`, or a regular expression over the whole path."},
      {"exclude_modules", "list of texts, or text", "null", "Projections to leave out, in the same forms."},
      {"layers_to_transform", "whole number, or list", "null", "Only these decoder layers."},
      {"layers", "whole number, or list", "null", "Short for layers_to_transform."},
      {"layers_pattern", "text, or list of texts", "null", "Where the layer's number stands in a path."},
      {"rank_pattern", "mapping", "{}", "LoRA's rank by module: a regular expression at the end of the path to r."},
      {"alpha_pattern", "mapping", "{}", "LoRA's alpha by module, in the same way."},
      {"experts", "mapping", "by method",
       "Structure. kind: low_rank (r, lora_alpha, lora_dropout, use_rslora, init_lora_weights, use_dora, mixer), "
       "low_rank_experts (the first five, init_std, num_experts: a number or one per decoder layer, shared_a, "
       "split_rank, init_from, execution: auto, dense or gather), ffn_experts (r, lora_alpha, lora_dropout, "
       "use_rslora, "
       "init_lora_weights, num_experts, init_from), "
       "rank_one_pairs (rank_allocation, layout, num_experts, gate_scale, lora_dropout) or tree (ranks, pool, "
       "active, activation, activation_position, alpha, init, shared_pool). init_from: folders of LoRA adapters, one "
       "per expert, that the experts start from; rank, scale and targets are the first one's unless given, and experts "
       "are frozen unless `freeze` says something about them."},
      {"router", "mapping", "by method",
       "Who chooses. kind: none; for experts of kind low_rank_experts and ffn_experts softmax, top_k (top_k, "
       "renormalise), top_p (top_p, temperature), switch (expert_capacity), noisy_top_k (top_k), threshold "
       "(max_threshold: learned, or threshold: constant), entropy (top_p, keep_top_k, entropy_threshold, "
       "entropy_type, entropy_index, entropy_eps), each with init_std, or task (tasks, task_names: those of "
       "the data, task_dim), which goes by task_column; pair_softmax (top_k); tree_keys (gate, gate_dims, "
       "gate_activation, dim_downproj_x); or mixture_of_routers around one of "
       "them (router, num_routers, combine, weighting, select, main_top_n). All but none take logit_temperature, which "
       "divides the logits (a number, or [first, last] for a straight line over the run; evaluation uses the last), "
       "and "
       "all with weights on the input jitter_noise j, which multiplies it by U(1-j, 1+j) in training; inside "
       "mixture_of_routers they stand with the wrapped router."},
      {"prior", "mapping", "{\"kind\":\"none\"}",
       "What is known before routing. kind: none, or clusters (token_coefficient, task_coefficient, gate_scale, top_k, "
       "use_scores): the prompt's similarity to centroids, see clusters_file and "
       "encoder_name_or_path."},
      {"losses", "list of mappings", "by method",
       "Losses on the routing, each {kind: balance, coef: 0.01, scope: site | layer | model}. kind: balance "
       "(padding: false, normalised: false), main_balance (the same), importance (padding), localized (delta: 0.1), "
       "which goes by sample_type_column, z (padding) or entropy (padding, entropy_type, entropy_index, entropy_eps)."},
      {"adapters", "list of mappings", "null",
       "Several methods for different targets, each with the keys above; replaces them."},
  };
  return rows;
}

const std::vector<std::string>& method_keys() {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> names;
    for (const OptionRow& row : method_rows()) names.push_back(row.name);
    return names;
  }();
  return keys;
}

}  // namespace morex::train
