(** C, continued: what a start costs (C5, C6), where it ends (C7), guidance (C8) and prediction from noise (C9). *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Singdiffusion Require Import Base Gaussian Space Scale Mixture Divergence Formulas A B E F.
Local Open Scope R_scope.

Lemma tie_kl_terminal_bound g t : Formulas.kl_terminal_bound g t = kl_trace g t.
Proof. reflexivity. Qed.
Lemma tie_mean_gain g m : Formulas.mean_gain g m = g * m / 2.
Proof. unfold Formulas.mean_gain. field. Qed.
Lemma tie_noise_start_gain a s m t d : s <> 0 ->
  Formulas.noise_start_gain a s m t d = (a ^ 2 * m + (a ^ 2 - snr_of a s) * t + d * (s ^ 2 - 1 - ln (s ^ 2))) / 2.
Proof. intros Hs. unfold Formulas.noise_start_gain, snr_of. field. auto. Qed.
Lemma tie_ode_slope a s l : Formulas.ode_slope a s l = sqrt (l / var_t a s l).
Proof. reflexivity. Qed.
Lemma tie_flow_end_mean mu l m a s : Formulas.flow_end_mean mu l m a s = mu + sqrt (l / var_t a s l) * (m - a * mu).
Proof. unfold Formulas.flow_end_mean, var_t. f_equal. f_equal. ring. Qed.
Lemma tie_flow_end_var l v a s : Formulas.flow_end_var l v a s = l * v / var_t a s l.
Proof. reflexivity. Qed.
Lemma tie_mean_start_end_var l a s : Formulas.mean_start_end_var l a s = l * s ^ 2 / var_t a s l.
Proof. reflexivity. Qed.
Lemma tie_brightness_eigenvalue v d : Formulas.brightness_eigenvalue v d = d * v.
Proof. unfold Formulas.brightness_eigenvalue. ring. Qed.
Lemma tie_plain_guidance c u w : Formulas.plain_guidance c u w = u + w * (c - u).
Proof. unfold Formulas.plain_guidance. ring. Qed.
Lemma tie_normalised_guidance c u w : Formulas.normalised_guidance c u w = c - (1 - 1 / w) * u.
Proof. unfold Formulas.normalised_guidance, Rdiv. ring. Qed.
Lemma tie_guidance_bound c u w : Formulas.guidance_bound c u w = c + (1 - 1 / w) * u.
Proof. unfold Formulas.guidance_bound, Rdiv. ring. Qed.
Lemma tie_guidance_segment_bound c u w : Formulas.guidance_segment_bound c u w = c / w + (1 - 1 / w) * u.
Proof. unfold Formulas.guidance_segment_bound, Rdiv. ring. Qed.
Lemma tie_dependence_excess b v : Formulas.dependence_excess b v = b + v.
Proof. reflexivity. Qed.
Lemma tie_gaussian_epsilon x mu l a s : Formulas.gaussian_epsilon x mu l a s = s * (x - a * mu) / var_t a s l.
Proof. unfold Formulas.gaussian_epsilon, var_t. f_equal. ring. Qed.

(** ** C5, C6: starts, for every finite law

    [q_s] is the law of [a x_0 + s n]. In units of [s], [u = x/s], it is the mixture of [N((a/s) y_i, I)]; KL does not change with units.
    A Gaussian start N(c, v I) is given by its log density ratio to N(0, I) in u. *)

Section Starts.
Variables (d n : nat) (w : nat -> R) (y : nat -> vec) (a s : R).
Hypothesis Hw : weights n w.
Hypothesis Hs : 0 < s.

(** Shifts of [q_s] in u *)
Definition at_s (i : nat) : vec := vscal (a / s) (y i).
(** N(c, v I): in u it has the mean c/s and the variance v/s^2 *)
Definition start_log (c : vec) (v : R) (u : vec) : R :=
  - INR d * ln (v / s ^ 2) / 2 + quad d (fun _ => 1 / 2) u - sq d (vminus u (vscal (/ s) c)) / (2 * (v / s ^ 2)).
Definition KL_start (c : vec) (v : R) : R := KL_to d n w at_s (start_log c v).
Notation mu := (mean n w y).
Notation trS := (trC d n w y).

Lemma start_log_alt c v u : 0 < v -> start_log c v u = (- INR d * ln (v / s ^ 2) / 2 - sq d c / (2 * v))
  + quad d (fun _ => (1 - s ^ 2 / v) / 2) u + s / v * dot d c u.
Proof.
  intros Hv. unfold start_log. rewrite sq_minus, sq_scal, dot_scal_r, (dot_comm d u c).
  assert (Q : forall k, quad d (fun _ => k) u = k * sq d u).
  { intros k. unfold quad, sq, dot. rewrite <- sumn_scal. apply sumn_ext. intros; ring. }
  rewrite !Q. field. lra.
Qed.

Lemma kl_start_value c v : 0 < v -> KL_start c v = KL d n w at_s - (- INR d * ln (v / s ^ 2) / 2 - sq d c / (2 * v)
  + (1 - s ^ 2 / v) / 2 * (INR d + snr_of a s * (trS + sq d mu)) + a / v * dot d c mu).
Proof.
  intros Hv. assert (Tl : tame d (start_log c v)).
  { rewrite (functional_extensionality _ _ (fun u => start_log_alt c v u Hv)).
    apply (tame_plus d (fun u => (- INR d * ln (v / s ^ 2) / 2 - sq d c / (2 * v)) + quad d (fun _ => (1 - s ^ 2 / v) / 2) u)); [|apply tame_scal, tame_dot].
    apply (tame_plus d (fun _ => - INR d * ln (v / s ^ 2) / 2 - sq d c / (2 * v))); [apply tame_const|apply tame_quad]. }
  unfold KL_start. rewrite (kl_to_split d n w Hw) by auto. f_equal.
  set (k0 := - INR d * ln (v / s ^ 2) / 2 - sq d c / (2 * v)).
  rewrite (E_ext d _ (fun u => k0 * mix d n w at_s u + mix d n w at_s u * quad d (fun _ => (1 - s ^ 2 / v) / 2) u + s / v * (mix d n w at_s u * dot d c u))).
  2:{ intros u. rewrite start_log_alt by auto. fold k0. ring. }
  assert (T1 := tame_mix d n w at_s). assert (T2 : tame d (fun u => mix d n w at_s u * quad d (fun _ => (1 - s ^ 2 / v) / 2) u)) by (apply tame_mult; [auto|apply tame_quad]).
  assert (T3 : tame d (fun u => mix d n w at_s u * dot d c u)) by (apply tame_mult; [auto|apply tame_dot]).
  rewrite E_plus, E_plus, !E_scal, E_mix_1, E_mix_quad, E_mix_dot; auto; [|apply tame_scal; auto|apply tame_plus; auto; apply tame_scal; auto|apply tame_scal; auto].
  rewrite Rmult_1_r. f_equal; [f_equal|].
  - rewrite (sumn_ext n _ (fun i => (1 - s ^ 2 / v) / 2 * (INR d * w i + snr_of a s * (w i * sq d (y i))))).
    + rewrite sumn_scal, sumn_plus, !sumn_scal, (proj2 Hw), Rmult_1_r. do 3 f_equal.
      (* E|y|^2 = tr + |mu|^2 *)
      unfold trC. rewrite (sumn_ext n (fun i => w i * sq d (xi n w y i)) (fun i => w i * sq d (y i) - 2 * (w i * dot d (y i) mu) + w i * sq d mu)).
      * rewrite sumn_plus, sumn_minus, sumn_scal, sumn_scal_r, (proj2 Hw).
        replace (sumn n (fun i => w i * dot d (y i) mu)) with (sq d mu); [ring|].
        unfold sq at 1. unfold mean at 1. rewrite dot_comm, dot_sum_r. apply sumn_ext. intros i _. rewrite dot_scal_r, dot_comm. auto.
      * intros i _. unfold xi. rewrite sq_minus. ring.
    + intros i _. rewrite sumn_scal. rewrite (sumn_ext d _ (fun k => 1 + snr_of a s * (y i k * y i k))).
      * rewrite sumn_plus, sumn_const, sumn_scal. unfold sq, dot. ring.
      * intros k _. unfold at_s, vscal, snr_of. field. lra.
  - rewrite (sumn_ext n _ (fun i => a / s * (w i * dot d c (y i)))).
    + rewrite sumn_scal. unfold mean. rewrite dot_sum_r. rewrite (sumn_ext n (fun i => dot d c (vscal (w i) (y i))) (fun i => w i * dot d c (y i))) by (intros; apply dot_scal_r).
      field. lra.
    + intros i _. unfold at_s. rewrite dot_scal_l, (dot_comm d (y i) c). ring.
Qed.

Theorem C6_gain : KL_start (fun _ => 0) (s ^ 2) - KL_start (vscal a mu) (s ^ 2) = Formulas.mean_gain (snr_of a s) (sq d mu).
Proof.
  assert (Hs2 : 0 < s ^ 2) by (apply pow_lt; auto). rewrite !kl_start_value by auto. rewrite tie_mean_gain.
  assert (Z : forall v, dot d (fun _ => 0) v = 0) by (intros; unfold dot; apply sumn_zero; intros; ring).
  unfold sq at 1. rewrite !Z, sq_scal, dot_scal_l. fold (sq d mu). unfold snr_of. field. lra.
Qed.

(** Against the N(0, I) of samplers *)
Theorem C6_noise_gain : KL_start (fun _ => 0) 1 - KL_start (vscal a mu) (s ^ 2) = Formulas.noise_start_gain a s (sq d mu) trS (INR d).
Proof.
  assert (Hs2 : 0 < s ^ 2) by (apply pow_lt; auto). rewrite !kl_start_value by (auto; lra). rewrite tie_noise_start_gain by lra.
  assert (Z : forall v, dot d (fun _ => 0) v = 0) by (intros; unfold dot; apply sumn_zero; intros; ring).
  unfold sq at 1. rewrite !Z, sq_scal, dot_scal_l. fold (sq d mu).
  replace (s ^ 2 / s ^ 2) with 1 by (field; lra). rewrite ln_1. unfold Rdiv at 2. rewrite Rmult_1_l, ln_Rinv by auto.
  unfold snr_of. field. lra.
Qed.
(** F7: the zero-init's start is the noise itself; what it costs against a mean start from an estimate of the average *)
Lemma tie_zero_init_cost m e t dim : Formulas.zero_init_cost a s m e t dim
  = (a ^ 2 * m - snr_of a s * e + (a ^ 2 - snr_of a s) * t + dim * (s ^ 2 - 1 - ln (s ^ 2))) / 2.
Proof. unfold Formulas.zero_init_cost, snr_of. field. lra. Qed.

Theorem F7_cost (est : vec) : KL_start (fun _ => 0) 1 - KL_start (vscal a est) (s ^ 2)
  = Formulas.zero_init_cost a s (sq d mu) (dist2 d mu est) trS (INR d).
Proof.
  assert (Hs2 : 0 < s ^ 2) by (apply pow_lt; auto). rewrite !kl_start_value by (auto; lra). rewrite tie_zero_init_cost.
  assert (Z : forall v, dot d (fun _ => 0) v = 0) by (intros; unfold dot; apply sumn_zero; intros; ring).
  unfold dist2. rewrite sq_minus, (dot_comm d mu est), sq_scal, dot_scal_l.
  replace (sq d (fun _ : nat => 0)) with 0 by (unfold sq; rewrite Z; auto). rewrite Z.
  replace (s ^ 2 / s ^ 2) with 1 by (field; lra). rewrite ln_1. unfold Rdiv at 2. rewrite Rmult_1_l, ln_Rinv by auto.
  unfold snr_of. field. lra.
Qed.
End Starts.

(** C5: from alpha_1 = 0 the posterior is the law itself (A5), so that B3 at [g = snr_s] is about [q_s] and [N(alpha_s mu, sigma_s^2 I)]. *)
Theorem C5_bound d n w y a s : weights n w -> 0 < s -> KL d n w (shift n w y (snr_of a s)) <= Formulas.kl_terminal_bound (snr_of a s) (trC d n w y).
Proof.
  intros Hw Hs. rewrite tie_kl_terminal_bound, <- tie_kl_trace_bound. apply B3_kl; auto.
  unfold snr_of. apply Rdiv_le_0_compat; [apply pow2_ge_0|apply pow_lt; auto].
Qed.

(** For Gaussian data [q_s] is, in [u = (x - alpha_s mu)/sigma_s] and along the eigenvectors, N(0, diag(1 + snr l_k)). Its expectation of f is
    [E (f o stretch)] with the roots of these variances, and KL is its expectation of the logarithm of the density over that of N(0, I). *)
Theorem C5_gaussian d (l : nat -> R) snr : 0 <= snr -> (forall k, (k < d)%nat -> 0 <= l k) ->
  let v := fun k => 1 + snr * l k in
  E d (fun z => let u := stretch (fun k => sqrt (v k)) z in ln (prodn d (fun k => normal 0 (v k) (u k) / normal 0 1 (u k))))
  = sumn d (fun k => Formulas.kl_gauss_term snr (l k)).
Proof.
  intros Hg Hl v. assert (Hv : forall k, (k < d)%nat -> 1 <= v k) by (intros k Hk; unfold v; specialize (Hl k Hk); nra).
  set (c := sumn d (fun k => - (ln (v k) / 2))).
  rewrite (E_ext d _ (fun z => c + ratio d (fun _ => 0) z * quad d (fun k => (v k - 1) / 2) z)).
  - rewrite E_plus, E_const, E_ratio_quad; [|apply tame_const|apply tame_mult; [apply tame_ratio|apply tame_quad]].
    unfold c. rewrite <- sumn_plus. apply sumn_ext. intros k _. rewrite tie_kl_gauss_term. unfold kl_gauss, v. field.
  - intros z. cbv zeta. rewrite (prodn_ext d _ (fun k => exp (- (ln (v k) / 2) + (v k - 1) / 2 * z k ^ 2))).
    + rewrite prodn_exp, ln_exp, sumn_plus. fold c. unfold quad. f_equal. unfold ratio.
      replace (dot d (fun _ => 0) z) with 0 by (unfold dot; symmetry; apply sumn_zero; intros; ring).
      replace (sq d (fun _ => 0)) with 0 by (unfold sq, dot; symmetry; apply sumn_zero; intros; ring).
      rewrite (exp_zero (0 - 0 / 2)) by field. ring.
    + intros k Hk. specialize (Hv k Hk). pose proof PI_RGT_0 as HP. unfold normal, stretch.
      rewrite exp_plus, exp_Ropp. replace (ln (v k) / 2) with (/ 2 * ln (v k)) by field. rewrite exp_half_ln by lra.
      replace (2 * PI * 1) with (2 * PI) by ring. rewrite (sqrt_mult (2 * PI) (v k)) by lra.
      assert (S1 : 0 < sqrt (2 * PI)) by (apply sqrt_lt_R0; lra). assert (S2 : 0 < sqrt (v k)) by (apply sqrt_lt_R0; lra).
      set (x := sqrt (v k) * z k). assert (X : x ^ 2 = v k * z k ^ 2) by (unfold x; rewrite Rpow_mult_distr, pow2_sqrt; lra).
      replace (exp ((v k - 1) / 2 * z k ^ 2)) with (exp (- (x - 0) ^ 2 / (2 * v k)) / exp (- (x - 0) ^ 2 / (2 * 1))).
      * field. repeat split; try lra. apply Rgt_not_eq, exp_pos.
      * unfold Rdiv at 1. rewrite <- exp_Ropp, <- exp_plus. f_equal. rewrite Rminus_0_r, X. field. lra.
Qed.

(** ** C7. The brightness law: the flow for Gaussian data, along an eigenvector, ends of time included *)

Section Flow.
Variables (al si ad sd X : R -> R) (mu lam t : R).
Hypothesis Hlam : 0 <= lam.
Hypothesis Ht : 0 < t.
Let v u := var_t (al u) (si u) lam.
(** On (0, t] the path follows the flow of the exact denoiser; at 0 all is continuous. *)
Hypothesis Hflow : forall u, 0 < u <= t -> is_derive al u (ad u) /\ is_derive si u (sd u) /\ 0 < v u /\
  is_derive X u (ad u * gauss_denoiser mu lam (al u) (si u) (X u) + sd u * Formulas.gaussian_epsilon (X u) mu lam (al u) (si u)).
Hypothesis Hal0 : continuous al 0.
Hypothesis Hsi0 : continuous si 0.
Hypothesis HX0 : continuous X 0.

(** [(x - alpha mu)/sqrt(v)] does not change. *)
Theorem C7_kept s : 0 < s <= t -> (X s - al s * mu) / sqrt (v s) = (X t - al t * mu) / sqrt (v t).
Proof.
  intros Hs. destruct (proj2 Hs) as [Hlt| ->]; [|auto].
  apply (eq_is_derive (fun u => (X u - al u * mu) / sqrt (v u))); auto. intros u Hu.
  destruct (Hflow u) as (Ha & Hsi & Hv & HX); [lra|].
  assert (Hq : 0 < sqrt (v u)) by (apply sqrt_lt_R0; auto).
  assert (Q : sqrt (v u) * sqrt (v u) = v u) by (apply sqrt_sqrt; lra).
  assert (Dv : is_derive v u (2 * al u * ad u * lam + 2 * si u * sd u)).
  { unfold v, var_t. auto_derive; [repeat split; [exists (ad u); auto|exists (sd u); auto]|]. rate Ha; rate Hsi. ring. }
  auto_derive.
  - repeat split; [eexists; apply HX|eexists; apply Ha|eexists; apply Dv|auto|lra].
  - rate HX; rate Ha; rate Dv. unfold zero; simpl. rewrite tie_gaussian_epsilon. unfold gauss_denoiser. fold (v u).
    apply Rmult_eq_reg_r with (sqrt (v u) * v u); [|apply Rmult_integral_contrapositive; split; lra].
    rewrite Rmult_0_l. set (q := sqrt (v u)) in *.
    replace (al u * lam / v u) with (al u * lam / (q * q)) by (rewrite Q; auto).
    replace (si u * (X u - al u * mu) / v u) with (si u * (X u - al u * mu) / (q * q)) by (rewrite Q; auto).
    rewrite <- Q. field. lra.
Qed.

(** So every path ends, at t = 0 too, at an affine function of its start. *)
Theorem C7_end : X 0 = al 0 * mu + sqrt (v 0 / v t) * (X t - al t * mu).
Proof.
  destruct (Hflow t) as (_ & _ & Hvt & _); [lra|].
  set (c := (X t - al t * mu) / sqrt (v t)). set (h := fun u => X u - al u * mu - c * sqrt (v u)).
  assert (Hq : 0 < sqrt (v t)) by (apply sqrt_lt_R0; auto).
  assert (Z : forall u, 0 < u <= t -> h u = 0).
  { intros u Hu. unfold h, c. destruct (Hflow u Hu) as (_ & _ & Hv & _). assert (0 < sqrt (v u)) by (apply sqrt_lt_R0; auto).
    rewrite <- (C7_kept u Hu). field. lra. }
  assert (Cv : continuous v 0).
  { unfold v, var_t. apply (continuous_plus (V := R_NormedModule) (fun u => al u ^ 2 * lam) (fun u => si u ^ 2)).
    - apply (continuous_mult (K := R_AbsRing) (fun u => al u ^ 2) (fun _ => lam)); [|apply continuous_const].
      apply (continuous_comp al (fun z => z ^ 2)); auto. apply (ex_derive_continuous (fun z => z ^ 2)). auto_derive; auto.
    - apply (continuous_comp si (fun z => z ^ 2)); auto. apply (ex_derive_continuous (fun z => z ^ 2)). auto_derive; auto. }
  assert (Ch : continuous h 0).
  { unfold h. apply (continuous_minus (V := R_NormedModule) (fun u => X u - al u * mu) (fun u => c * sqrt (v u))).
    - apply (continuous_minus (V := R_NormedModule) X (fun u => al u * mu)); auto.
      apply (continuous_mult (K := R_AbsRing) al (fun _ => mu)); auto. apply continuous_const.
    - apply (continuous_mult (K := R_AbsRing) (fun _ => c) (fun u => sqrt (v u))); [apply continuous_const|].
      apply (continuous_comp v sqrt); auto. apply continuous_sqrt. }
  assert (H0 : h 0 = 0).
  { destruct (Req_dec (h 0) 0) as [|Hn]; auto. exfalso. assert (He : 0 < Rabs (h 0)) by (apply Rabs_pos_lt; auto).
    destruct (Ch (fun z => Rabs (z - h 0) < Rabs (h 0))) as [delta Hd]; [exists (mkposreal _ He); intros z Hz; exact Hz|].
    set (u := Rmin (delta / 2) t). assert (Hu : 0 < u <= t) by (unfold u; split; [apply Rmin_pos; [pose proof (cond_pos delta); lra|auto]|apply Rmin_r]).
    assert (Hb : ball 0 delta u). { change (Rabs (u - 0) < delta). rewrite Rminus_0_r, Rabs_right by lra. unfold u. pose proof (Rmin_l (delta / 2) t). pose proof (cond_pos delta). lra. }
    specialize (Hd u Hb). rewrite (Z u Hu), Rminus_0_l, Rabs_Ropp in Hd. lra. }
  unfold h, c in H0. rewrite sqrt_div_alt by auto.
  replace (sqrt (v 0) / sqrt (v t) * (X t - al t * mu)) with ((X t - al t * mu) / sqrt (v t) * sqrt (v 0)) by (field; lra). lra.
Qed.
End Flow.

(** The map's effect on a start of mean m and variance v: [lam = v_0] at the data end. An affine map [x -> c0 + k x] takes mean m to [c0 + k m]
    and variance v to [k^2 v]; here are its two numbers, and the three starts. *)
Theorem C7_mean mu lam m a s : Formulas.flow_end_mean mu lam m a s = mu + sqrt (lam / var_t a s lam) * (m - a * mu).
Proof. apply tie_flow_end_mean. Qed.

Theorem C7_variance lam v a s : 0 <= lam -> 0 < var_t a s lam -> sqrt (lam / var_t a s lam) ^ 2 * v = Formulas.flow_end_var lam v a s.
Proof.
  intros Hl Hv. rewrite tie_flow_end_var, pow2_sqrt by (apply Rdiv_le_0_compat; auto). field. lra.
Qed.

Theorem C7_mean_start mu lam a s : Formulas.flow_end_mean mu lam (a * mu) a s = mu /\ Formulas.flow_end_var lam (s ^ 2) a s = Formulas.mean_start_end_var lam a s.
Proof. split; [rewrite tie_flow_end_mean; ring|reflexivity]. Qed.

Theorem C7_matched_start mu lam a s : 0 < var_t a s lam ->
  Formulas.flow_end_mean mu lam (a * mu) a s = mu /\ Formulas.flow_end_var lam (Formulas.marginal_var a s lam) a s = lam.
Proof. intros Hv. split; [rewrite tie_flow_end_mean; ring|]. rewrite tie_flow_end_var, tie_marginal_var. field. lra. Qed.

Theorem C7_noise_start mu lam a s : 0 < lam -> 1 < var_t a s lam -> Formulas.flow_end_var lam 1 a s < lam /\
  Formulas.flow_end_mean mu lam 0 a s = mu * (1 - a * sqrt (lam / var_t a s lam)).
Proof.
  intros Hl Hv. split; [|rewrite tie_flow_end_mean; ring]. rewrite tie_flow_end_var.
  apply Rmult_lt_reg_r with (var_t a s lam); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. nra.
Qed.

(** Along the constant image [(1, …, 1)/sqrt d] the coordinate is [sqrt d] times the brightness, so its variance is [d Var]. *)
Theorem C7_brightness d (x : vec) : (0 < d)%nat ->
  let b := sumn d x / INR d in dot d x (fun _ => / sqrt (INR d)) = sqrt (INR d) * b /\
  forall v, Formulas.brightness_eigenvalue v (INR d) = sqrt (INR d) ^ 2 * v.
Proof.
  intros Hd b. assert (H : 0 < INR d) by (apply lt_0_INR; auto). assert (Hq : 0 < sqrt (INR d)) by (apply sqrt_lt_R0; auto). split.
  - unfold dot, b. rewrite sumn_scal_r. rewrite <- (sqrt_sqrt (INR d)) at 3 by lra. field. lra.
  - intros v. rewrite tie_brightness_eigenvalue, pow2_sqrt by lra. auto.
Qed.

(** ** C8. Guidance at the singular step, in R^d *)

Definition guided (w : R) (c u : vec) : vec := fun k => Formulas.normalised_guidance (c k) (u k) w.

Theorem C8_rule w (c u : vec) k : w <> 0 -> guided w c u k = Formulas.plain_guidance (c k) (u k) w / w /\ guided w c u k = c k - (1 - 1 / w) * u k.
Proof. intros Hw. unfold guided. rewrite tie_normalised_guidance, tie_plain_guidance. split; [field; auto|auto]. Qed.

Lemma share w : 1 <= w -> 0 <= 1 - 1 / w.
Proof.
  intros Hw. assert (1 / w <= 1); [|lra]. apply Rmult_le_reg_r with w; [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l; lra.
Qed.

Theorem C8_bound d w c u : 1 <= w -> vnorm d (guided w c u) <= Formulas.guidance_bound (vnorm d c) (vnorm d u) w.
Proof.
  intros Hw. rewrite tie_guidance_bound. rewrite (norm_ext d _ (vplus c (vscal (- (1 - 1 / w)) u))).
  - eapply Rle_trans; [apply norm_triang|]. rewrite norm_scal, Rabs_Ropp, Rabs_right by (apply Rle_ge, share; auto). lra.
  - intros k _. unfold guided, vplus, vscal. rewrite tie_normalised_guidance. ring.
Qed.

Theorem C8_segment d w c u : 1 <= w -> vnorm d (guided w c u) <= Formulas.guidance_segment_bound (vnorm d c) (vnorm d (vminus c u)) w
  /\ Formulas.guidance_segment_bound (vnorm d c) (vnorm d (vminus c u)) w <= Formulas.guidance_bound (vnorm d c) (vnorm d u) w.
Proof.
  intros Hw. pose proof (share w Hw) as Hs. rewrite tie_guidance_segment_bound, tie_guidance_bound. split.
  - rewrite (norm_ext d _ (vplus (vscal (1 / w) c) (vscal (1 - 1 / w) (vminus c u)))).
    + eapply Rle_trans; [apply norm_triang|]. assert (0 <= 1 / w) by (apply Rdiv_le_0_compat; lra).
      rewrite !norm_scal, !Rabs_right by lra. unfold Rdiv. lra.
    + intros k _. unfold guided, vplus, vscal, vminus. rewrite tie_normalised_guidance. field. lra.
  - assert (T : vnorm d (vminus c u) <= vnorm d c + vnorm d u).
    { rewrite (norm_ext d _ (vplus c (vscal (-1) u))) by (intros; unfold vminus, vplus, vscal; ring).
      eapply Rle_trans; [apply norm_triang|]. rewrite norm_scal, Rabs_left by lra. lra. }
    apply Rmult_le_compat_l with (r := 1 - 1 / w) in T; auto. unfold Rdiv in *. nra.
Qed.

(** The first bound is attained where c and u are opposite, *)
Theorem C8_attained d w c r : 1 <= w -> 0 <= r -> vnorm d (guided w c (vscal (- r) c)) = Formulas.guidance_bound (vnorm d c) (vnorm d (vscal (- r) c)) w.
Proof.
  intros Hw Hr. pose proof (share w Hw). rewrite tie_guidance_bound, norm_scal, Rabs_Ropp, Rabs_right by lra.
  rewrite (norm_ext d _ (vscal (1 + (1 - 1 / w) * r) c)).
  - rewrite norm_scal, Rabs_right by nra. ring.
  - intros k _. unfold guided, vscal. rewrite tie_normalised_guidance. ring.
Qed.

(** the plain rule grows without bound, *)
Theorem C8_plain d w c u : 1 <= w -> (w - 1) * vnorm d (vminus c u) - vnorm d c <= vnorm d (fun k => Formulas.plain_guidance (c k) (u k) w).
Proof.
  intros Hw. assert (T : vnorm d (vscal (w - 1) (vminus c u)) <= vnorm d (fun k => Formulas.plain_guidance (c k) (u k) w) + vnorm d (vscal (-1) c)).
  { rewrite (norm_ext d _ (vplus (fun k => Formulas.plain_guidance (c k) (u k) w) (vscal (-1) c))).
    - apply norm_triang.
    - intros k _. unfold vscal, vminus, vplus. rewrite tie_plain_guidance. ring. }
  rewrite !norm_scal, Rabs_right, Rabs_left in T by lra. lra.
Qed.

(** like [w |c - u|] exactly, *)
Theorem C8_plain_most d w c u : 1 <= w -> vnorm d (fun k => Formulas.plain_guidance (c k) (u k) w) <= (w - 1) * vnorm d (vminus c u) + vnorm d c.
Proof.
  intros Hw. rewrite (norm_ext d _ (vplus (vscal (w - 1) (vminus c u)) c)).
  - eapply Rle_trans; [apply norm_triang|]. rewrite norm_scal, Rabs_right by lra. lra.
  - intros k _. unfold Formulas.plain_guidance, vplus, vscal, vminus. ring.
Qed.

(** and the rule is c itself only if w = 1 or u = 0; where c = u it shrinks by 1/w. *)
Theorem C8_exact w (c u : vec) k : w <> 0 -> guided w c u k = c k <-> w = 1 \/ u k = 0.
Proof.
  intros Hw. unfold guided. rewrite tie_normalised_guidance. split.
  - intros H. assert (H0 : (1 - 1 / w) * u k = 0) by lra. apply Rmult_integral in H0. destruct H0 as [H0|H0]; auto. left.
    apply Rmult_eq_reg_r with (/ w); [|apply Rinv_neq_0_compat; auto]. rewrite Rinv_r by auto. unfold Rdiv in H0. lra.
  - intros [-> | ->]; [field|ring].
Qed.

Theorem C8_shrinks w (c : vec) k : w <> 0 -> guided w c c k = c k / w.
Proof. intros Hw. unfold guided. rewrite tie_normalised_guidance. field. auto. Qed.

(** ** C9. Noise carries no information

    At alpha_1 = 0, [x_1 = sigma_1 n] with n independent of [x_0]. A predictor is a function f of the noise, of finite growth in each
    coordinate. Its mean squared error is that of the mean, and the excess; this is over all finite laws and all such f. *)

Section Predictor.
Variables (d n : nat) (w : nat -> R) (y : nat -> vec) (f : vec -> vec).
Hypothesis Hw : weights n w.
Hypothesis Hf : forall k, (k < d)%nat -> tame d (fun u => f u k).
Definition risk : R := E d (fun u => sumn n (fun i => w i * sq d (vminus (f u) (y i)))).
Definition Ef : vec := fun k => E d (fun u => f u k).
Definition Varf : R := sumn d (fun k => E d (fun u => (f u k - Ef k) ^ 2)).

Theorem C9_excess : risk = trC d n w y + Formulas.dependence_excess (sq d (vminus Ef (mean n w y))) Varf.
Proof.
  unfold Formulas.dependence_excess. set (mu := mean n w y).
  assert (P : forall u, sumn n (fun i => w i * sq d (vminus (f u) (y i))) = trC d n w y + sumn d (fun k => (f u k - mu k) ^ 2)).
  { intros u. unfold trC. rewrite (sumn_ext n _ (fun i => sumn d (fun k => w i * (f u k - mu k) ^ 2 - 2 * (f u k - mu k) * (w i * xi n w y i k) + w i * (xi n w y i k * xi n w y i k)))).
    - rewrite sumn_swap. rewrite (sumn_ext d _ (fun k => (f u k - mu k) ^ 2 + sumn n (fun i => w i * (xi n w y i k * xi n w y i k)))).
      + rewrite sumn_plus, <- sumn_swap. rewrite Rplus_comm. f_equal. apply sumn_ext. intros i _. unfold sq, dot. rewrite sumn_scal. auto.
      + intros k _. rewrite sumn_plus, sumn_minus, sumn_scal_r, sumn_scal, (xi_centred n w y Hw), (proj2 Hw). ring.
    - intros i _. unfold sq, dot. rewrite <- sumn_scal. apply sumn_ext. intros k _. unfold xi, vminus. fold mu. ring. }
  assert (T2 : forall k c, (k < d)%nat -> tame d (fun u => (f u k - c) ^ 2)).
  { intros k c Hk. rewrite (functional_extensionality (fun u => (f u k - c) ^ 2) (fun u => (f u k - c) * (f u k - c))) by (intros; ring).
    apply tame_mult; apply tame_minus; auto; apply tame_const. }
  unfold risk. rewrite (E_ext d _ _ P). rewrite E_plus, E_const; [|apply tame_const|apply (tame_sum d d (fun k u => (f u k - mu k) ^ 2)); auto].
  f_equal. rewrite (E_sum d d (fun k u => (f u k - mu k) ^ 2)) by auto.
  unfold sq, dot, Varf. rewrite <- sumn_plus. apply sumn_ext. intros k Hk.
  rewrite (E_ext d (fun u => (f u k - mu k) ^ 2) (fun u => (f u k - Ef k) ^ 2 + (2 * (Ef k - mu k) * f u k + ((Ef k - mu k) ^ 2 - 2 * (Ef k - mu k) * Ef k)))).
  - rewrite E_plus, E_plus, E_scal, E_const; auto; try apply tame_const; try (apply tame_scal; auto).
    + change (E d (fun u => f u k)) with (Ef k). unfold vminus. ring.
    + apply tame_plus; [apply tame_scal; auto|apply tame_const].
  - intros u. ring.
Qed.

(** So no predictor is better than the constant mu. *)
Theorem C9_best : trC d n w y <= risk.
Proof.
  rewrite C9_excess; unfold Formulas.dependence_excess. pose proof (sq_nonneg d (vminus Ef (mean n w y))).
  assert (0 <= Varf); [|lra]. apply sumn_nonneg. intros k Hk. rewrite <- (E_const d 0). apply E_le; [apply tame_const| |intros; apply pow2_ge_0].
  rewrite (functional_extensionality (fun u => (f u k - Ef k) ^ 2) (fun u => (f u k - Ef k) * (f u k - Ef k))) by (intros; ring).
  apply tame_mult; apply tame_minus; auto; apply tame_const.
Qed.
End Predictor.

(** Samples: the step from [mu + sqrt(lam) x_1/sigma_1] ends as the Gaussian with the moments of [q_s]; what it gains is B5. *)
Theorem C9_samples d n w y a s : weights n w -> 0 < s -> let g := snr_of a s in
  KL d n w (shift n w y g) - KL_to d n w (shift n w y g) (gauss_log d n w y g) = sumn d (fun k => Formulas.kl_gauss_term g (lam n w y k)).
Proof.
  intros Hw Hs g. rewrite (B5_pythagoras d n w y g Hw); [ring|]. unfold g, snr_of. apply Rdiv_le_0_compat; [apply pow2_ge_0|apply pow_lt; auto].
Qed.

(** The share of a Gaussian mode's variance that x_1 explains at Stable Diffusion's end, alpha = .068265, lambda = 277: .56 *)
Lemma tie_explained_share m t : Formulas.explained_share m t = 1 - m / t.
Proof. unfold Formulas.explained_share, Rdiv. ring. Qed.

Theorem C9_sd : let snr := 0.068265 ^ 2 / (1 - 0.068265 ^ 2) in
  0.56 < Formulas.explained_share (gmmse 277 snr) 277 < 0.57.
Proof. intros snr. rewrite tie_explained_share. unfold gmmse, snr. split; interval. Qed.
