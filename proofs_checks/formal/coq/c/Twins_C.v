(** Near falsehoods of groups C and D, each disproved by an example; numbers by interval arithmetic. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Singdiffusion Require Import Base Gaussian Space Mixture Divergence Formulas A B E F Posterior C C_start D.
Local Open Scope R_scope.

(** Atoms at -1 and 1 of equal weight; and one atom *)
Definition two_p : nat -> R := fun _ => 1 / 2.
Definition two_y : nat -> vec := fun i _ => match i with O => -1 | _ => 1 end.
Definition one_p : nat -> R := fun _ => 1.

Lemma two_weights : weights 2 two_p.
Proof. split; [intros; unfold two_p; lra|unfold two_p; simpl; lra]. Qed.
Lemma one_weights : weights 1 one_p.
Proof. split; [intros; unfold one_p; lra|unfold one_p; simpl; lra]. Qed.

Lemma right_to_0 : filterlim (fun s : R => s) (at_right 0) (locally 0).
Proof. intros P [e HP]. exists e. intros z Hz _. apply HP. exact Hz. Qed.

(** C1 with alpha/sigma for alpha/sigma^2: at sigma_1 = 2 the slope is another *)
Theorem C1_twin_sigma : ~ filterlim (fun t => (denoiser 1 2 two_p two_y t 2 (fun _ => 1) 0%nat - mean_of 2 two_p two_y 0%nat) / t) (at_right 0)
  (locally (cov_times 1 2 two_p two_y (fun _ => 1) 0%nat / 2)).
Proof.
  intros H. assert (H1 : filterlim (fun t => (denoiser 1 2 two_p two_y t 2 (fun _ => 1) 0%nat - mean_of 2 two_p two_y 0%nat) / t) (at_right 0)
    (locally (cov_times 1 2 two_p two_y (fun _ => 1) 0%nat / 2 ^ 2))).
  { apply (denoiser_slope (at_right 0) 1 2 two_p two_y (fun _ => 1) (fun t => t) (fun _ => 2) 2 two_weights right_to_0); try lra.
    - apply filterlim_const.
    - apply filter_forall. intros. lra.
    - exists (mkposreal 1 Rlt_0_1). intros z _ Hz. lra. }
  assert (U := filterlim_locally_unique _ _ _ H H1).
  assert (Cv : cov_times 1 2 two_p two_y (fun _ => 1) 0%nat = 1) by (unfold cov_times, mean_of, vsum, vscal, dot, two_p, two_y; simpl; field).
  rewrite Cv in U. lra.
Qed.

(** C2 with v = - mu at sigma_1 = 3 *)
Theorem C2_twin_v : exists y, let m := denoiser 1 1 one_p y 0 3 (fun _ => 1) 0%nat in Formulas.v_of (eps_of 1 m 0 3) m 0 3 <> - mean_of 1 one_p y 0%nat.
Proof.
  exists (fun _ _ => 1). intros m. destruct (C2_end 1 1 one_p (fun _ _ => 1) 3 (fun _ => 1) 0%nat) as (_ & _ & H); [lra|unfold one_p; simpl; lra|].
  unfold m. rewrite H, tie_terminal_v. unfold mean_of, vsum, vscal, one_p. simpl. lra.
Qed.

(** C2 with [alpha x - sigma v] off VP *)
Theorem C2_twin_vp : exists x m a s, 0 < s /\ a * x - s * Formulas.v_of (eps_of x m a s) m a s <> m.
Proof. exists 1, 1, (1 / 2), (1 / 2). split; [lra|]. rewrite tie_v_of. unfold eps_of. intros H. field_simplify in H. lra. Qed.

(** C3 without [sigma' x / sigma] *)
Theorem C3_twin_sigma : exists a1 d1 mu x s, 0 < s /\ Formulas.terminal_drift a1 d1 mu x s <> a1 * mu.
Proof. exists (-1), 1, 0, 1, 1. split; [lra|]. rewrite tie_terminal_drift. intros H. field_simplify in H. lra. Qed.

(** C4: the rate is integrable for alpha = u^p, for some p > 0 *)
Theorem C4_twin_integrable p : 0 < p -> ~ exists M, at_right 0 (fun u => Formulas.sde_rate_integral 1 (Rpower u p) <= M).
Proof.
  intros Hp [M HM]. assert (D := C4_divergence (at_right 0) (fun u => Rpower u p) 1 M Rlt_0_1 (Rpower_to_0 p Hp) (filter_forall _ (fun u => exp_pos _))).
  assert (N : at_right 0 (fun _ => False)) by (apply (filter_imp (fun u => Formulas.sde_rate_integral 1 (Rpower u p) <= M /\ M < Formulas.sde_rate_integral 1 (Rpower u p))); [intros u [A B]; lra|apply filter_and; auto]).
  apply filter_ex in N. destruct N as [_ []].
Qed.

(** C6 with alpha^2 for the signal-to-noise ratio *)
Theorem C6_twin_alpha : exists y, let mu := mean 1 one_p y in
  KL_start 1 1 one_p y (1 / 2) (1 / 2) (fun _ => 0) ((1 / 2) ^ 2) - KL_start 1 1 one_p y (1 / 2) (1 / 2) (vscal (1 / 2) mu) ((1 / 2) ^ 2)
  <> (1 / 2) ^ 2 * sq 1 mu / 2.
Proof.
  exists (fun _ _ => 1). intros mu. unfold mu. rewrite (C6_gain 1 1 one_p (fun _ _ => 1) (1 / 2) (1 / 2) one_weights) by lra. rewrite tie_mean_gain.
  assert (S : sq 1 (mean 1 one_p (fun _ _ => 1)) = 1) by (unfold sq, dot, mean, vsum, vscal, one_p; simpl; field).
  rewrite S. unfold snr_of. intros H. field_simplify in H. lra.
Qed.

(** C7 with the root of v, and with the posterior mean's slope *)
Theorem C7_twin_root : exists lam a s, 0 < lam /\ 0 < s /\ Formulas.mean_start_end_var lam a s <> lam * s ^ 2 / sqrt (var_t a s lam).
Proof. exists 4, (3 / 5), (4 / 5). repeat split; try lra. apply Rlt_not_eq. rewrite tie_mean_start_end_var. unfold var_t. interval. Qed.

Theorem C7_twin_slope : exists lam a s, 0 < lam /\ 0 < s /\ Formulas.ode_slope a s lam <> Formulas.posterior_slope a s lam.
Proof.
  exists 4, (3 / 5), (4 / 5). repeat split; try lra. apply Rgt_not_eq. rewrite tie_ode_slope, tie_posterior_slope. unfold var_t, Rgt. interval.
Qed.

(** C8 with [c - u/w], and the bound below w = 1 *)
Theorem C8_twin_rule : exists w c u, 1 <= w /\ Formulas.normalised_guidance c u w <> c - u / w.
Proof. exists 7.5, 1, 1. split; [lra|]. rewrite tie_normalised_guidance. apply Rlt_not_eq. interval. Qed.

Theorem C8_twin_below_one : exists w c u, 0 < w < 1 /\ Formulas.guidance_bound (vnorm 1 c) (vnorm 1 u) w < vnorm 1 (guided w c u).
Proof.
  exists (1 / 4), (fun _ => 1), (fun _ => 1). split; [lra|].
  assert (N : forall z, vnorm 1 (fun _ => z) = Rabs z).
  { intros z. unfold vnorm, sq, dot. simpl. rewrite Rplus_0_l. apply sqrt_Rsqr_abs. }
  unfold guided. rewrite !N, tie_guidance_bound, tie_normalised_guidance.
  replace (1 - (1 - 1 / (1 / 4)) * 1) with 4 by field. rewrite !Rabs_right by lra. replace (1 + (1 - 1 / (1 / 4)) * 1) with (-2) by field. lra.
Qed.

(** C9: dependence costs nothing. The predictor u itself has the excess 1. *)
Theorem C9_twin_free : trC 1 1 one_p (fun _ _ => 0) < risk 1 1 one_p (fun _ _ => 0) (fun u => u).
Proof.
  assert (T : trC 1 1 one_p (fun _ _ => 0) = 0) by (unfold trC, xi, mean, vsum, vscal, vminus, sq, dot, one_p; simpl; ring).
  assert (R1 : risk 1 1 one_p (fun _ _ => 0) (fun u => u) = 1); [|lra].
  unfold risk. rewrite (E_ext 1 _ (fun u => ratio 1 (fun _ => 0) u * u 0%nat ^ 2)).
  - rewrite E_ratio_sq by lia. ring.
  - intros u. unfold ratio, sq, dot, vminus, one_p. simpl. rewrite exp_zero by field. ring.
Qed.

(** D1 with [exp(-m/sigma^2)], and ties that keep the prior's ratio at fixed x too *)
Theorem D1_twin_exponent : exists r m s, 0 < s /\ Formulas.rival_weight r m s <> r * exp (- m / s ^ 2).
Proof. exists 1, 1, 1. split; [lra|]. rewrite tie_rival_weight by lra. apply Rgt_not_eq. unfold Rgt. interval. Qed.

Theorem D1_twin_tie : exists r q, Formulas.vp_tie_ratio r q <> r.
Proof. exists 1, 1. rewrite tie_vp_tie_ratio. apply Rgt_not_eq. unfold Rgt. interval. Qed.

(** D2 pointwise: one atom at 0 seen from 1/2 *)
Theorem D2_twin_pointwise : exists s x, 0 < s /\ 1 < eps_of x (denoiser 1 1 one_p (fun _ _ => 0) 1 s (fun _ => x) 0%nat) 1 s.
Proof.
  exists (1 / 100), (1 / 2). split; [lra|]. replace (denoiser 1 1 one_p (fun _ _ => 0) 1 (1 / 100) (fun _ => 1 / 2) 0%nat) with 0.
  - unfold eps_of. lra.
  - unfold denoiser, vsum, vscal. simpl. ring.
Qed.

(** D4 with [-(n - f)/sigma^2], and a finite score on the subspace in rectified flow *)
Theorem D4_twin_alpha : exists n f a s, 0 < s /\ 0 < a < 1 /\ Formulas.normal_score n f a s <> - (n - f) / s ^ 2.
Proof. exists 1, 1, (3 / 5), (4 / 5). repeat split; try lra. rewrite tie_normal_score. apply Rlt_not_eq. interval. Qed.

Theorem D4_twin_flow : ~ exists M, at_right 0 (fun t => Rabs (Formulas.normal_score 1 1 (1 - t) t) <= M).
Proof.
  intros [M HM]. assert (Hm : 0 < / (Rabs M + 1)) by (apply Rinv_0_lt_compat; pose proof (Rabs_pos M); lra).
  assert (N : at_right 0 (fun t => 0 < t < / (Rabs M + 1))).
  { exists (mkposreal _ Hm). intros t Ht H0. change (Rabs (t - 0) < / (Rabs M + 1)) in Ht. rewrite Rminus_0_r, Rabs_right in Ht; lra. }
  assert (X : at_right 0 (fun _ => False)); [|apply filter_ex in X; destruct X as [_ []]].
  apply (filter_imp (fun t => Rabs (Formulas.normal_score 1 1 (1 - t) t) <= M /\ 0 < t < / (Rabs M + 1))); [|apply filter_and; auto].
  intros t [H1 [H2 H3]]. rewrite D4_foot_flow in H1 by lra. replace (- (1) / t) with (- / t) in H1 by (field; lra). rewrite Rabs_Ropp, Rabs_right in H1.
  - apply Rinv_lt_contravar in H3; [|apply Rmult_lt_0_compat; lra]. rewrite Rinv_inv in H3. pose proof (Rle_abs M). lra.
  - apply Rle_ge. left. apply Rinv_0_lt_compat. auto.
Qed.

(** D5 with VP's g^2 on rectified flow *)
Theorem D5_twin_vp : exists a s a' s', 0 < a /\ 0 < s /\ Formulas.sde_diffusion2 a s a' s' <> - 2 * a' / a.
Proof. exists (1 / 2), (1 / 2), (-1), 1. repeat split; try lra. rewrite tie_sde_diffusion2. apply Rlt_not_eq. interval. Qed.

(** D6 with sigma' y at the atom *)
Theorem D6_twin_half : exists y s', Formulas.vp_atom_epsilon_rate y s' <> s' * y.
Proof. exists 1, 1. rewrite tie_vp_atom_epsilon_rate. lra. Qed.

(** F7 without the estimate's error: an estimate of the average that is off by 1 *)
Theorem F7_twin_exact : exists y est, let mu := mean 1 one_p y in
  KL_start 1 1 one_p y (1 / 2) (1 / 2) (fun _ => 0) 1 - KL_start 1 1 one_p y (1 / 2) (1 / 2) (vscal (1 / 2) est) ((1 / 2) ^ 2)
  <> Formulas.noise_start_gain (1 / 2) (1 / 2) (sq 1 mu) (trC 1 1 one_p y) 1.
Proof.
  exists (fun _ _ => 1), (fun _ => 0). intros mu. unfold mu. replace 1 with (INR 1) at 15 by reflexivity.
  rewrite (F7_cost 1 1 one_p (fun _ _ => 1) (1 / 2) (1 / 2) one_weights) by lra. rewrite (tie_zero_init_cost (1 / 2) (1 / 2)), tie_noise_start_gain by lra.
  assert (D : dist2 1 (mean 1 one_p (fun _ _ => 1)) (fun _ => 0) = 1) by (unfold dist2, sq, dot, vminus, mean, vsum, vscal, one_p; simpl; field).
  rewrite D. unfold snr_of. simpl INR. intros H. field_simplify in H. lra.
Qed.
