# The comparison of scripts/demo --compare. Source it after setup.sh.

# Recipe options beside demo/compare.yaml: five methods cut to about the 14 million numbers of demo/smore.yaml.
declare -A COMPARED=(
  [lora]='method=lora r=46 lora_alpha=92'
  [mixlora]='method=mixlora experts.r=8 experts.lora_alpha=16'
  [smore]='method=smore experts.ranks=[8,8] experts.pool=[4,4] experts.active=[2,2] experts.activation=tanh
           router.gate_dims=[16,16] router.dim_downproj_x=16'
  [trex]='method=trex experts.rank_allocation=[8,8]'
  [mor]='method=mor'
)
COMPARED_ORDER=(lora mixlora smore trex mor)
PRESETS=(lora rslora dora lora_plus pissa moslora hydralora loramoe mola mor adamole dynmole moelora mixlora mor_mixlora
         smore smore_shared trex)
MINUTES_PER_METHOD=3  # on 2 cores

# choose_methods [all | METHOD …]: sets `chosen`, the names, and `options`, their recipe options.
choose_methods() {
  declare -gA options=()
  chosen=()
  local name
  if [ $# -eq 0 ]; then
    chosen=("${COMPARED_ORDER[@]}")
    for name in "${chosen[@]}"; do options[$name]=${COMPARED[$name]}; done
    return
  fi
  [ "$*" = all ] && set -- "${PRESETS[@]}"
  for name in "$@"; do
    [[ " ${PRESETS[*]} " == *" $name "* ]] || die "unknown method '$name'; there are: all ${PRESETS[*]}"
    chosen+=("$name")
    options[$name]="method=$name"
  done
}

compare_methods() {
  local out=runs/compare name number=0
  mkdir -p "$out"
  say "comparing ${#chosen[@]} methods: about $((MINUTES_PER_METHOD * ${#chosen[@]})) minutes on 2 cores"
  say "the untouched model"
  evaluate "$out/base.json" --quiet >/dev/null
  for name in "${chosen[@]}"; do
    number=$((number + 1))
    say "$number/${#chosen[@]}  $name"
    # shellcheck disable=SC2086
    "$morex" train demo/compare.yaml "model_name_or_path=$DEMO_BASE" "output_dir=$out/$name" ${options[$name]}
    evaluate "$out/$name.json" --adapter "$out/$name" --quiet >/dev/null
  done
  python3 scripts/lib/compare_report.py "$out" "${chosen[@]}"
}
