(** F. What each step keeps: the two ends of time are the two ends of the spectrum.

    Gaussian data, one eigenvector of the covariance with eigenvalue [lam], the exact denoiser. All ends of time are included: [a = 0]
    (noise) and [s = 0] (data). *)

From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Formulas A E.
Local Open Scope R_scope.

(** ** Definitions *)

(** The variance of [x_t] along the eigenvector *)
Definition var_t (a s lam : R) : R := a ^ 2 * lam + s ^ 2.
(** The angle theta_t between 0 (noise) and pi/2 (data) *)
Definition angle (a s lam : R) : R := acos (s / sqrt (var_t a s lam)).
(** The exact denoiser of N(mu, lam) *)
Definition gauss_denoiser (mu lam a s x : R) : R := mu + a * lam / var_t a s lam * (x - a * mu).
(** The deviation that is left of 1 by a DDIM(0) step, and what the exact flow makes of it *)
Definition step_factor (a_t s_t a_s s_s lam : R) : R := (a_s * a_t * lam + s_s * s_t) / var_t a_t s_t lam.
Definition flow_factor (a_t s_t a_s s_s lam : R) : R := sqrt (var_t a_s s_s lam / var_t a_t s_t lam).

Lemma tie_marginal_var a s lam : Formulas.marginal_var a s lam = var_t a s lam.
Proof. reflexivity. Qed.
Lemma tie_posterior_slope a s lam : Formulas.posterior_slope a s lam = a * lam / var_t a s lam.
Proof. reflexivity. Qed.

Lemma tie_ddim_spread_factor a_t a_s s_t s_s l : Formulas.ddim_spread_factor a_t a_s s_t s_s l = step_factor a_t s_t a_s s_s l.
Proof. unfold Formulas.ddim_spread_factor, step_factor, var_t, Rdiv. ring. Qed.
Lemma tie_flow_spread_factor a_t s_t a_s s_s l : Formulas.flow_spread_factor a_t s_t a_s s_s l = flow_factor a_t s_t a_s s_s l.
Proof. reflexivity. Qed.
Lemma tie_step_kept a_t s_t a_s s_s l : Formulas.step_kept a_t s_t a_s s_s l = (a_s * a_t * l + s_s * s_t) / sqrt (var_t a_s s_s l * var_t a_t s_t l).
Proof. reflexivity. Qed.
Lemma tie_first_step_kept g l : Formulas.first_step_kept g l = 1 / sqrt (1 + g * l).
Proof. unfold Formulas.first_step_kept, Rdiv. rewrite Rmult_1_l. do 2 f_equal. ring. Qed.
Lemma tie_ancestral_loss b a s l : Formulas.ancestral_loss b a s l = b ^ 2 * l * s ^ 2 / var_t a s l.
Proof. reflexivity. Qed.

Section One_eigenvalue.
Variable lam : R.
Hypothesis Hlam : 0 <= lam.

Lemma var_nonneg a s : 0 <= var_t a s lam.
Proof. unfold var_t. apply Rplus_le_le_0_compat; [apply Rmult_le_pos; auto; apply pow2_ge_0|apply pow2_ge_0]. Qed.

Lemma ratio_range a s : 0 <= s -> 0 < var_t a s lam -> 0 <= s / sqrt (var_t a s lam) <= 1.
Proof.
  intros Hs Hv. assert (0 < sqrt (var_t a s lam)) by (apply sqrt_lt_R0; auto). split.
  - apply Rdiv_le_0_compat; auto.
  - apply Rmult_le_reg_r with (sqrt (var_t a s lam)); auto. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra.
    rewrite Rmult_1_l, Rmult_1_r. rewrite <- (sqrt_pow2 s) at 1 by auto. apply sqrt_le_1_alt. unfold var_t.
    assert (0 <= a ^ 2 * lam) by (apply Rmult_le_pos; auto; apply pow2_ge_0). lra.
Qed.

Lemma cos_angle a s : 0 <= s -> 0 < var_t a s lam -> cos (angle a s lam) = s / sqrt (var_t a s lam).
Proof. intros. unfold angle. apply cos_acos. pose proof (ratio_range a s H H0). lra. Qed.

Lemma sin_angle a s : 0 <= a -> 0 <= s -> 0 < var_t a s lam -> sin (angle a s lam) = a * sqrt lam / sqrt (var_t a s lam).
Proof.
  intros Ha Hs Hv. unfold angle. rewrite sin_acos by (pose proof (ratio_range a s Hs Hv); lra).
  assert (0 < sqrt (var_t a s lam)) by (apply sqrt_lt_R0; auto).
  replace (1 - Rsqr (s / sqrt (var_t a s lam))) with (Rsqr (a * sqrt lam / sqrt (var_t a s lam))).
  - apply sqrt_Rsqr. apply Rdiv_le_0_compat; auto. apply Rmult_le_pos; auto. apply sqrt_pos.
  - unfold Rsqr. field_simplify_eq; [|lra].
    replace (sqrt (var_t a s lam) ^ 2) with (var_t a s lam) by (rewrite pow2_sqrt; auto; lra).
    replace (sqrt lam ^ 2) with lam by (rewrite pow2_sqrt; auto). unfold var_t. ring.
Qed.

(** The angle is [arctan (sqrt (snr lam))] wherever [s > 0], 0 at the noise end and pi/2 at the data end. *)
Theorem F1_angle_atan a s : 0 <= a -> 0 < s -> angle a s lam = atan (sqrt (snr_of a s * lam)).
Proof.
  intros Ha Hs. assert (Hs2 : 0 < s ^ 2) by (apply pow_lt; auto).
  assert (Hv : 0 < var_t a s lam). { unfold var_t. assert (0 <= a ^ 2 * lam) by (apply Rmult_le_pos; auto; apply pow2_ge_0). lra. }
  assert (Hq : 0 < sqrt (var_t a s lam)) by (apply sqrt_lt_R0; auto).
  assert (R := ratio_range a s (Rlt_le _ _ Hs) Hv).
  assert (Hc : 0 < cos (angle a s lam)) by (rewrite cos_angle by lra; apply Rdiv_lt_0_compat; auto).
  assert (B : 0 <= angle a s lam <= PI) by apply acos_bound.
  assert (Hlt : angle a s lam < PI / 2).
  { apply Rnot_le_lt. intros Hle. pose proof (cos_le_0 (angle a s lam) Hle). pose proof PI_RGT_0. lra. }
  rewrite <- (atan_tan (angle a s lam)) by (pose proof PI_RGT_0; lra).
  f_equal. unfold tan. rewrite cos_angle, sin_angle by lra.
  unfold snr_of. replace (a ^ 2 / s ^ 2 * lam) with ((a / s) ^ 2 * lam) by (field; lra).
  rewrite sqrt_mult; [|apply pow2_ge_0|auto]. rewrite sqrt_pow2 by (apply Rdiv_le_0_compat; auto). field. lra.
Qed.

Theorem F1_angle_ends a s : 0 < a -> 0 < lam -> 0 < s -> angle 0 s lam = 0 /\ angle a 0 lam = PI / 2.
Proof.
  intros Ha Hl Hs. unfold angle, var_t. split.
  - replace (0 ^ 2 * lam + s ^ 2) with (s ^ 2) by ring. rewrite sqrt_pow2 by lra.
    replace (s / s) with 1 by (field; lra). apply acos_1.
  - replace (0 / sqrt (a ^ 2 * lam + 0 ^ 2)) with 0 by (unfold Rdiv; ring). apply acos_0.
Qed.

(** ** F1. The cosine law *)

(** What a DDIM(0) step does to the deviation from the mean, from any [s_t > 0] *)
Theorem F1_step mu a_t s_t a_s s_s x : s_t <> 0 -> 0 < var_t a_t s_t lam ->
  ddim (gauss_denoiser mu lam a_t s_t x) (eps_of x (gauss_denoiser mu lam a_t s_t x) a_t s_t) a_s s_s - a_s * mu
  = step_factor a_t s_t a_s s_s lam * (x - a_t * mu).
Proof. intros Hs Hv. unfold ddim, eps_of, gauss_denoiser, step_factor. unfold var_t in *. field. split; [lra|auto]. Qed.

(** On rectified flow, Euler's step of the velocity is this step. *)
Theorem F1_rectified_flow t s m x : t <> 0 ->
  let e := eps_of x m (1 - t) t in x + (s - t) * (e - m) = ddim m e (1 - s) s.
Proof. intros Ht e. unfold e, ddim, eps_of. field. auto. Qed.

Theorem F1_cosine a_t s_t a_s s_s :
  0 <= a_t -> 0 <= s_t -> 0 <= a_s -> 0 <= s_s -> 0 < var_t a_t s_t lam -> 0 < var_t a_s s_s lam ->
  step_factor a_t s_t a_s s_s lam = flow_factor a_t s_t a_s s_s lam * cos (angle a_s s_s lam - angle a_t s_t lam).
Proof.
  intros Hat Hst Has Hss Hvt Hvs. unfold step_factor, flow_factor. rewrite cos_minus, !cos_angle, !sin_angle by auto.
  rewrite sqrt_div_alt by auto.
  assert (0 < sqrt (var_t a_t s_t lam)) by (apply sqrt_lt_R0; auto).
  assert (0 < sqrt (var_t a_s s_s lam)) by (apply sqrt_lt_R0; auto).
  rewrite <- (sqrt_sqrt (var_t a_t s_t lam)) at 1 by lra.
  rewrite <- (sqrt_sqrt lam) at 1 by auto. field. lra.
Qed.

(** The formula that is run for this cosine *)
Theorem F1_step_kept a_t s_t a_s s_s :
  0 <= a_t -> 0 <= s_t -> 0 <= a_s -> 0 <= s_s -> 0 < var_t a_t s_t lam -> 0 < var_t a_s s_s lam ->
  Formulas.step_kept a_t s_t a_s s_s lam = cos (angle a_s s_s lam - angle a_t s_t lam).
Proof.
  intros Hat Hst Has Hss Hvt Hvs. rewrite tie_step_kept, cos_minus, !cos_angle, !sin_angle by auto. rewrite sqrt_mult by lra.
  assert (0 < sqrt (var_t a_t s_t lam)) by (apply sqrt_lt_R0; auto). assert (0 < sqrt (var_t a_s s_s lam)) by (apply sqrt_lt_R0; auto).
  rewrite <- (sqrt_sqrt lam) at 1 by auto. field. lra.
Qed.

(** A grid: [al k] and [si k] after [k] steps. The product of the cosines is what is kept of the standard deviation. *)
Definition kept (n : nat) (al si : nat -> R) : R :=
  prodn n (fun k => cos (angle (al (S k)) (si (S k)) lam - angle (al k) (si k) lam)).

Theorem F1_grid n al si : (forall k, (k <= n)%nat -> 0 <= al k /\ 0 <= si k /\ 0 < var_t (al k) (si k) lam) ->
  prodn n (fun k => step_factor (al k) (si k) (al (S k)) (si (S k)) lam)
  = flow_factor (al 0%nat) (si 0%nat) (al n) (si n) lam * kept n al si.
Proof.
  intros H. unfold kept. induction n.
  - simpl. unfold flow_factor. destruct (H 0%nat (Nat.le_refl 0)) as [_ [_ Hv]].
    replace (_ / _) with 1 by (field; lra). rewrite sqrt_1. ring.
  - simpl. rewrite IHn by (intros; apply H; lia).
    destruct (H n) as [? [? ?]]; [lia|]. destruct (H (S n)) as [? [? ?]]; [lia|]. destruct (H 0%nat) as [? [? ?]]; [lia|].
    rewrite F1_cosine by auto.
    replace (flow_factor (al 0%nat) (si 0%nat) (al (S n)) (si (S n)) lam)
      with (flow_factor (al 0%nat) (si 0%nat) (al n) (si n) lam * flow_factor (al n) (si n) (al (S n)) (si (S n)) lam); [ring|].
    unfold flow_factor. rewrite <- sqrt_mult by (apply Rdiv_le_0_compat; lra). f_equal. field. lra.
Qed.

(** Nothing is ever gained. *)
Theorem F1_no_gain n al si : Rabs (kept n al si) <= 1.
Proof.
  unfold kept. induction n; simpl; [rewrite Rabs_R1; lra|]. rewrite Rabs_mult.
  pose proof (COS_bound (angle (al (S n)) (si (S n)) lam - angle (al n) (si n) lam)).
  assert (Rabs (cos (angle (al (S n)) (si (S n)) lam - angle (al n) (si n) lam)) <= 1) by (apply Rabs_le; lra).
  rewrite <- (Rmult_1_l 1). apply Rmult_le_compat; auto; apply Rabs_pos.
Qed.

(** Only the signal-to-noise ratio enters: two schedules of the same ratios keep the same. *)
Theorem F1_only_snr n al si al' si' :
  (forall k, (k <= n)%nat -> 0 <= al k /\ 0 < si k /\ 0 <= al' k /\ 0 < si' k /\ snr_of (al k) (si k) = snr_of (al' k) (si' k)) ->
  kept n al si = kept n al' si'.
Proof.
  intros H. unfold kept. apply prodn_ext. intros k Hk.
  destruct (H k) as (? & ? & ? & ? & E1); [lia|]. destruct (H (S k)) as (? & ? & ? & ? & E2); [lia|].
  rewrite !F1_angle_atan by auto. rewrite E1, E2. reflexivity.
Qed.

(** ** F2. The start is the first step *)

Theorem F2_first_step mu s_1 a_s s_s x : 0 < s_1 ->
  ddim (gauss_denoiser mu lam 0 s_1 x) (eps_of x (gauss_denoiser mu lam 0 s_1 x) 0 s_1) a_s s_s = a_s * mu + s_s * (x / s_1).
Proof.
  intros Hs. assert (E : gauss_denoiser mu lam 0 s_1 x = mu) by (unfold gauss_denoiser, Rdiv; ring).
  rewrite E. unfold ddim, eps_of. field. lra.
Qed.

Theorem F2_kept a_s s_s s_1 : 0 <= a_s -> 0 < s_s -> 0 < s_1 ->
  step_factor 0 s_1 a_s s_s lam / flow_factor 0 s_1 a_s s_s lam = cos (angle a_s s_s lam) /\
  cos (angle a_s s_s lam) = 1 / sqrt (1 + snr_of a_s s_s * lam).
Proof.
  intros Ha Hs H1. assert (0 < s_s ^ 2) by (apply pow_lt; auto). assert (0 < s_1 ^ 2) by (apply pow_lt; auto).
  assert (Hv : 0 < var_t a_s s_s lam). { unfold var_t. assert (0 <= a_s ^ 2 * lam) by (apply Rmult_le_pos; auto; apply pow2_ge_0). lra. }
  assert (Hv1 : 0 < var_t 0 s_1 lam) by (unfold var_t; lra).
  assert (0 < flow_factor 0 s_1 a_s s_s lam) by (apply sqrt_lt_R0, Rdiv_lt_0_compat; auto).
  split.
  - rewrite F1_cosine by lra. assert (E : angle 0 s_1 lam = 0).
    { unfold angle, var_t. replace (0 ^ 2 * lam + s_1 ^ 2) with (s_1 ^ 2) by ring. rewrite sqrt_pow2 by lra.
      replace (s_1 / s_1) with 1 by (field; lra). apply acos_1. }
    rewrite E, Rminus_0_r. field. lra.
  - rewrite cos_angle by lra. replace (1 + snr_of a_s s_s * lam) with (var_t a_s s_s lam / s_s ^ 2) by (unfold var_t, snr_of; field; nz).
    rewrite sqrt_div_alt by auto. rewrite sqrt_pow2 by lra. field. nz.
Qed.

(** A sampler that starts at [s] from [N(0, 1)] has the standard deviation 1 where the data have [sqrt var]: it keeps [cos / s_s]. *)
Theorem F2_noise_start a_s s_s : 0 <= a_s -> 0 < s_s -> 1 / sqrt (var_t a_s s_s lam) = cos (angle a_s s_s lam) / s_s.
Proof.
  intros Ha Hs. assert (0 < s_s ^ 2) by (apply pow_lt; auto).
  assert (Hv : 0 < var_t a_s s_s lam). { unfold var_t. assert (0 <= a_s ^ 2 * lam) by (apply Rmult_le_pos; auto; apply pow2_ge_0). lra. }
  rewrite cos_angle by lra. field. nz.
Qed.

(** ** F9. Ancestral steps *)

(** The variance after a DDIM(eta) step, kept noise [k], fresh noise of variance [f], from a variance [r v_t] *)
Definition eta_var (a_t s_t a_s k f r : R) : R :=
  ((a_s * a_t * lam + k * s_t) / var_t a_t s_t lam) ^ 2 * (r * var_t a_t s_t lam) + f.

(** It is the variance of the step: its factor of the deviation squared, and the fresh noise. *)
Theorem F9_step mu a_t s_t a_s k x : s_t <> 0 -> 0 < var_t a_t s_t lam ->
  ddim (gauss_denoiser mu lam a_t s_t x) (eps_of x (gauss_denoiser mu lam a_t s_t x) a_t s_t) a_s k - a_s * mu
  = (a_s * a_t * lam + k * s_t) / var_t a_t s_t lam * (x - a_t * mu).
Proof. intros Hs Hv. exact (F1_step mu a_t s_t a_s k x Hs Hv). Qed.

Lemma tie_kept_var_after r a_t a_s s_t s_s f k : 0 < var_t a_t s_t lam ->
  Formulas.kept_var_after r a_t a_s s_t s_s f k lam = eta_var a_t s_t a_s k f r / var_t a_s s_s lam.
Proof.
  intros Hv. unfold Formulas.kept_var_after, eta_var. fold (var_t a_t s_t lam) (var_t a_s s_s lam). unfold Rdiv. f_equal. ring.
Qed.

Theorem F9_recursion a_t s_t a_s s_s k f r : 0 < var_t a_t s_t lam -> 0 < var_t a_s s_s lam ->
  eta_var a_t s_t a_s k f r / var_t a_s s_s lam
  = ((a_s * a_t * lam + k * s_t) ^ 2 * r / var_t a_t s_t lam + f) / var_t a_s s_s lam.
Proof. intros Ht Hs. unfold eta_var. field. lra. Qed.

(** At eta = 1 one step misses just [b^2 lam s_t^2 / v_t] of the variance. *)
Theorem F9_missing a_t s_t a_s s_s : a_s <> 0 -> s_t <> 0 -> 0 < var_t a_t s_t lam ->
  let a := br_a a_t s_t a_s s_s in let b := br_b a_t s_t a_s s_s in let c2 := br_c2 a_t s_t a_s s_s in
  var_t a_s s_s lam - eta_var a_t s_t a_s (a * s_t) c2 1 = b ^ 2 * lam * s_t ^ 2 / var_t a_t s_t lam.
Proof.
  intros Ha Hs Hv a b c2. unfold eta_var, a, b, c2, br_a, br_b, br_c2, noise, factor. unfold var_t in *. field.
  repeat split; auto; lra.
Qed.

End One_eigenvalue.

(** ** F3. The mirror *)

Theorem F3_angle a s lam : 0 < a -> 0 < s -> 0 < lam -> angle s a (/ lam) = PI / 2 - angle a s lam.
Proof.
  intros Ha Hs Hl. assert (0 < / lam) by (apply Rinv_0_lt_compat; auto).
  rewrite !F1_angle_atan by lra.
  assert (0 < snr_of a s * lam). { apply Rmult_lt_0_compat; auto. unfold snr_of. apply Rdiv_lt_0_compat; apply pow_lt; auto. }
  replace (snr_of s a * / lam) with (/ (snr_of a s * lam)).
  2:{ unfold snr_of. field. repeat split; lra. }
  rewrite sqrt_inv. apply atan_inv. apply sqrt_lt_R0; auto.
Qed.

(** Ends of time included *)
Theorem F3_angle_ends a s lam : 0 <= a -> 0 <= s -> 0 < a + s -> 0 < lam -> angle s a (/ lam) = PI / 2 - angle a s lam.
Proof.
  intros Ha Hs Hp Hl. assert (0 < / lam) by (apply Rinv_0_lt_compat; auto).
  destruct Ha as [Ha|<-]; [destruct Hs as [Hs|<-]|].
  - apply F3_angle; auto.
  - rewrite (proj1 (F1_angle_ends (/ lam) 1 a Rlt_0_1 H Ha)), (proj2 (F1_angle_ends lam a 1 Ha Hl Rlt_0_1)). ring.
  - assert (0 < s) by lra. rewrite (proj2 (F1_angle_ends (/ lam) s 1 H0 H Rlt_0_1)), (proj1 (F1_angle_ends lam 1 s Rlt_0_1 Hl H0)). ring.
Qed.

(** Rectified flow from [t] to [1 - t] swaps its two numbers, and a grid that is run backwards at [1/lam] keeps the same. *)
Theorem F3_mirror n al si lam : 0 < lam -> (forall k, (k <= n)%nat -> 0 <= al k /\ 0 <= si k /\ 0 < al k + si k) ->
  kept (/ lam) n (fun k => si (n - k)%nat) (fun k => al (n - k)%nat) = kept lam n al si.
Proof.
  intros Hl H. unfold kept. rewrite (prodn_rev n (fun k => cos (angle (al (S k)) _ lam - _))).
  apply prodn_ext. intros k Hk.
  destruct (H (n - k)%nat) as [? [? ?]]; [lia|]. destruct (H (n - S k)%nat) as [? [? ?]]; [lia|].
  rewrite !F3_angle_ends by auto.
  replace (S (n - 1 - k))%nat with (n - k)%nat by lia. replace (n - 1 - k)%nat with (n - S k)%nat by lia.
  f_equal. ring.
Qed.

(** A shift [S] of rectified flow's times divides the root of the ratio by [S]: what is kept is that of [lam / S^2] unshifted. *)
Definition shifted (S t : R) : R := S * t / (1 + (S - 1) * t).

Lemma tie_shifted_time t S : Formulas.shifted_time t S = shifted S t.
Proof. unfold Formulas.shifted_time, shifted. f_equal. ring. Qed.

Theorem F3_shift n (t : nat -> R) S lam : 0 < S -> 0 < lam -> (forall k, (k <= n)%nat -> 0 <= t k <= 1) ->
  kept lam n (fun k => 1 - shifted S (t k)) (fun k => shifted S (t k))
  = kept (lam / S ^ 2) n (fun k => 1 - t k) (fun k => t k).
Proof.
  intros HS Hl H. unfold kept. apply prodn_ext. intros k Hk.
  assert (HS2 : 0 < S ^ 2) by (apply pow_lt; auto).
  assert (Q : forall u, 0 <= u <= 1 -> angle (1 - shifted S u) (shifted S u) lam = angle (1 - u) u (lam / S ^ 2)).
  { intros u [[Hu|<-] Hu1].
    2:{ replace (shifted S 0) with 0 by (unfold shifted; field; lra). rewrite Rminus_0_r.
        rewrite (proj2 (F1_angle_ends lam 1 1 Rlt_0_1 Hl Rlt_0_1)).
        symmetry. apply (F1_angle_ends (lam / S ^ 2) 1 1); try lra. apply Rdiv_lt_0_compat; auto. }
    assert (D : 0 < 1 + (S - 1) * u) by nra.
    assert (E1 : 1 - shifted S u = (1 - u) / (1 + (S - 1) * u)) by (unfold shifted; field; lra).
    assert (0 < shifted S u) by (unfold shifted; apply Rdiv_lt_0_compat; nra).
    assert (0 < lam / S ^ 2) by (apply Rdiv_lt_0_compat; auto).
    rewrite !F1_angle_atan; try lra.
    - do 2 f_equal. unfold snr_of. rewrite E1. unfold shifted. field. repeat split; lra.
    - rewrite E1. apply Rdiv_le_0_compat; lra. }
  rewrite !Q by (apply H; lia). reflexivity.
Qed.

(** ** F8. The best grid for one eigenvalue *)

(** The tangent to log cos at [c] lies above it. *)
Lemma cos_tangent c x : 0 <= c < PI / 2 -> 0 <= x < PI / 2 -> ln (cos x) <= ln (cos c) - tan c * (x - c).
Proof.
  intros Hc Hx. assert (HPI := PI_RGT_0).
  set (h := fun u => ln (cos u) + tan c * u).
  assert (P : forall u, 0 <= u < PI / 2 -> 0 < cos u) by (intros; apply cos_gt_0; lra).
  assert (D : forall u, 0 <= u < PI / 2 -> is_derive h u (tan c - tan u)).
  { intros u Hu. pose proof (P u Hu) as Pu. unfold h. auto_derive; [exact Pu|]. unfold tan. pose proof (P c Hc). field. lra. }
  assert (T : forall u v, 0 <= u -> u <= v -> v < PI / 2 -> tan u <= tan v).
  { intros u v Hu Huv Hv. destruct Huv as [Huv| ->]; [|lra]. left. apply tan_increasing; lra. }
  enough (h x <= h c) by (unfold h in H; lra).
  destruct (Rle_lt_dec x c) as [Hle|Hlt].
  - destruct Hle as [Hlt| ->]; [|lra].
    destruct (MVT_gen h x c (fun u => tan c - tan u)) as [u [Hu Eu]].
    + intros u Hu. rewrite Rmin_left, Rmax_right in Hu by lra. apply D. lra.
    + intros u Hu. rewrite Rmin_left, Rmax_right in Hu by lra. apply derivable_continuous_pt.
      exists (tan c - tan u). apply is_derive_Reals, D. lra.
    + rewrite Rmin_left, Rmax_right in Hu by lra. assert (tan u <= tan c) by (apply T; lra). nra.
  - destruct (MVT_gen h c x (fun u => tan c - tan u)) as [u [Hu Eu]].
    + intros u Hu. rewrite Rmin_left, Rmax_right in Hu by lra. apply D. lra.
    + intros u Hu. rewrite Rmin_left, Rmax_right in Hu by lra. apply derivable_continuous_pt.
      exists (tan c - tan u). apply is_derive_Reals, D. lra.
    + rewrite Rmin_left, Rmax_right in Hu by lra. assert (tan c <= tan u) by (apply T; lra). nra.
Qed.

(** N increments of the angle that add up to a quarter turn keep at most what equal ones keep. *)
Theorem F8_best n (delta : nat -> R) : (2 <= n)%nat -> (forall k, (k < n)%nat -> 0 <= delta k <= PI / 2) ->
  sumn n delta = PI / 2 -> prodn n (fun k => cos (delta k)) <= cos (PI / (2 * INR n)) ^ n.
Proof.
  intros Hn H Hsum. assert (HPI := PI_RGT_0).
  assert (Hn' : 2 <= INR n) by (replace 2 with (INR 2) by reflexivity; apply le_INR; auto).
  set (c := PI / (2 * INR n)).
  assert (Hc : 0 <= c < PI / 2).
  { unfold c. split; [apply Rdiv_le_0_compat; lra|]. apply Rmult_lt_reg_r with (2 * INR n); [lra|].
    unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. nra. }
  assert (Hcc : 0 < cos c) by (apply cos_gt_0; lra).
  (* an increment of a whole quarter turn keeps nothing *)
  assert (Z : (exists k, (k < n)%nat /\ delta k = PI / 2) \/ forall k, (k < n)%nat -> delta k < PI / 2).
  { clear Hsum c Hc Hcc Hn Hn'. induction n; [right; intros; lia|].
    destruct IHn as [[k [Hk Ek]]|IH]; [intros; apply H; lia|left; exists k; split; auto; lia|].
    destruct (H n) as [_ [Hlt|He]]; [lia| |left; exists n; split; auto; lia].
    right. intros k Hk. destruct (PeanoNat.Nat.eq_dec k n) as [->|]; auto. apply IH. lia. }
  destruct Z as [[k [Hk Ek]]|Hlt].
  - assert (prodn n (fun k => cos (delta k)) = 0).
    { clear -Hk Ek. induction n; [lia|]. simpl. destruct (PeanoNat.Nat.eq_dec k n) as [->|].
      - rewrite Ek, cos_PI2. ring.
      - rewrite IHn by lia. ring. }
    rewrite H0. apply pow_le. lra.
  - assert (L : forall m, (m <= n)%nat -> 0 < prodn m (fun k => cos (delta k)) /\
       ln (prodn m (fun k => cos (delta k))) <= INR m * ln (cos c) - tan c * (sumn m delta - INR m * c)).
    { induction m; intros Hm; [simpl; rewrite ln_1; split; lra|].
      destruct IHm as [Hp Hl]; [lia|]. assert (Hd : 0 < cos (delta m)).
      { apply cos_gt_0; [|apply Hlt; lia]. destruct (H m); [lia|]. lra. }
      simpl prodn. split; [apply Rmult_lt_0_compat; auto|]. rewrite ln_mult by auto. rewrite S_INR. simpl sumn.
      pose proof (cos_tangent c (delta m) Hc) as T. destruct (H m) as [? ?]; [lia|]. specialize (T (conj H0 (Hlt m ltac:(lia)))). lra. }
    destruct (L n) as [Hp Hl]; [lia|]. rewrite Hsum in Hl.
    replace (PI / 2 - INR n * c) with 0 in Hl by (unfold c; field; lra).
    rewrite Rmult_0_r, Rminus_0_r in Hl.
    rewrite <- (exp_ln _ Hp). rewrite <- (exp_ln (cos c ^ n)) by (apply pow_lt; auto). apply exp_le_mono.
    rewrite ln_pow by auto. exact Hl.
Qed.

(** The uniform grid attains it. *)
Theorem F8_attained n : (0 < n)%nat -> sumn n (fun _ => PI / (2 * INR n)) = PI / 2 /\
  prodn n (fun _ => cos (PI / (2 * INR n))) = cos (PI / (2 * INR n)) ^ n.
Proof.
  intros Hn. split.
  - rewrite sumn_const. field. apply not_0_INR. lia.
  - generalize (cos (PI / (2 * INR n))). intros c. clear Hn. induction n; simpl; [auto|]. rewrite IHn. ring.
Qed.

(** The formula that is run for it *)
Theorem F8_formula n : (2 <= n)%nat -> Formulas.even_angles_kept (INR n) (PI / 2) = cos (PI / (2 * INR n)) ^ n.
Proof.
  intros Hn. assert (Hn' : 2 <= INR n) by (replace 2 with (INR 2) by reflexivity; apply le_INR; auto). assert (HPI := PI_RGT_0).
  unfold Formulas.even_angles_kept. replace (PI / 2 / INR n) with (PI / (2 * INR n)) by (field; lra). apply Rpower_pow.
  assert (0 < PI / (2 * INR n) < PI / 2); [|apply cos_gt_0; lra]. split; [apply Rdiv_lt_0_compat; lra|].
  apply Rmult_lt_reg_r with (2 * INR n); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. nra.
Qed.
